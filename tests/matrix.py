"""`./run_tests.sh matrix`: the quick tests and the main live ones, with every Python and Django that is promised.

Each pair has a copy of the checkout with a `.venv` of its own in MATRIX_DIR (`.matrix`), where the pins are ours but
for Django's. The copy is made anew each time, the `.venv` only when the pins have changed. `./run_tests.sh matrix
3.12-6.1` does one pair; Pythons are those on the PATH and those of pyenv.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Of a checkout alone: data, keys, history, and what tools keep.
LEFT = shutil.ignore_patterns(
    *(".git", ".venv*", ".dev", ".env", ".matrix", "__pycache__", ".*_cache", ".hypothesis", "staticfiles"),
)
PYTHONS = ("3.11", "3.12", "3.13")
#: Each Django, and the first Python that it runs on.
DJANGOS = {"5.2": "3.11", "6.1": "3.12"}
PAIRS = [
    (python, django)
    for python in PYTHONS
    for django, first in DJANGOS.items()
    if PYTHONS.index(python) >= PYTHONS.index(first)
]
#: What a person does first, in a browser; what viewers see; Celery's own means; a job of the second app.
LIVE = ("start_task_in_browser", "watching", "celery_behaviour", "downloads")


def interpreter(version: str) -> str | None:
    """Where that Python is; None where it is not."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [shutil.which(f"python{version}"), *sorted(map(str, root.glob(f"{version}.*/bin/python{version}")))]
    for path in filter(None, found):
        works = subprocess.run([path, "-c", "import venv, ssl, sqlite3"], capture_output=True)  # pyenv's shims may not
        if works.returncode == 0:
            return path
    return None


def copy_checkout(folder: Path, django: str) -> None:
    """This checkout as it is now, with the newest Django of that series in the pins; a `.venv` that is there stays."""
    for path in folder.iterdir() if folder.exists() else ():
        if path.name not in (".venv", ".mypy_cache"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.copytree(ROOT, folder, ignore=LEFT, dirs_exist_ok=True)
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (folder / name).read_text()
        # Hashes are those of one version: without them here.
        text = re.sub(r" \\\n +--hash=\S+", "", text)
        text, times = re.subn(r"^django==.*$", f"django~={django}.0", text, flags=re.MULTILINE)
        assert times == 1, name
        (folder / name).write_text(text)


def run(command: list[str], folder: Path, log: Path) -> bool:
    """Whether it ended well; what it says is in the log."""
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    with log.open("ab") as file:
        file.write(f"\n$ {' '.join(command)}\n".encode())
        file.flush()
        return subprocess.run(command, cwd=folder, env=kept, stdout=file, stderr=file).returncode == 0


def check(python: str, django: str, where: Path) -> tuple[bool, str]:
    """All of one pair. True, and what was counted; False, and what failed."""
    program = interpreter(python)
    if program is None:
        return False, f"there is no Python {python}: install it, or name the pairs that you mean"
    name = f"{python}-{django}"
    folder, log = where / name, where / f"{name}.log"
    where.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    copy_checkout(folder, django)
    if not (folder / ".venv").exists() and not run([program, "-m", "venv", ".venv"], folder, log):
        return False, f"no .venv: {log}"
    live = [f"tests/live/test_{one}.py" for one in LIVE]
    for command in (["./run_tests.sh", "quick"], ["./run_tests.sh", *live]):
        if not run(command, folder, log):
            return False, f"{' '.join(command)} failed: {log}"
    said = "import sys, django; print(sys.version.split()[0], django.__version__)"
    versions = subprocess.run(
        [".venv/bin/python", "-c", said], cwd=folder, capture_output=True, text=True
    ).stdout.split()
    assert versions[0].startswith(f"{python}.") and versions[1].startswith(f"{django}."), versions
    counted = re.findall(r"(\d+) passed", log.read_text())
    return True, f"Python {versions[0]}, Django {versions[1]}: {' and '.join(counted)} passed"


def main(names: list[str]) -> int:
    """0 when every pair is green."""
    known = [f"{python}-{django}" for python, django in PAIRS]
    if unknown := set(names) - set(known):
        print(f"The pairs are {', '.join(known)}, but got {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    where = Path(os.environ.get("MATRIX_DIR") or ROOT / ".matrix").resolve()
    failed = 0
    for python, django in PAIRS:
        if names and f"{python}-{django}" not in names:
            continue
        began = time.monotonic()
        good, said = check(python, django, where)
        print(
            f"{'ok    ' if good else 'FAILED'} {python}-{django}  {said}  ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        failed += not good
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
