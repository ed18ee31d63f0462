"""A virtual environment of another checkout that has the packages of this one: nothing is installed."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import venv
from pathlib import Path


def share_packages(checkout: Path) -> None:
    """Make `.venv` in `checkout`, as if its requirements had just been installed."""
    folder = checkout / ".venv"
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for program in Path(sys.prefix, "bin").iterdir():
        if not (folder / "bin" / program.name).exists():
            (folder / "bin" / program.name).symlink_to(program)
    for name in ("requirements.txt", "requirements-dev.txt"):
        shutil.copy(checkout / name, folder / f"installed-{name}")
