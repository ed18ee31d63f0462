"""A wheel of the checkout, in a folder or an environment of its own: nothing here sees the checkout itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from .document import ROOT, section


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """Built as `pip install .` builds it."""
    folder = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(ROOT)], cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def site(wheel, tmp_path_factory) -> Path:
    """A folder for PYTHONPATH with the wheel's packages; what they depend on is in the tests' environment."""
    folder = tmp_path_factory.mktemp("site")
    install(wheel, folder)
    return folder


@pytest.fixture(scope="session")
def namespaced_site(tmp_path_factory) -> Path:
    """The same with both packages below one name, and in their place a package `progress` as PyPI has one."""
    folder = tmp_path_factory.mktemp("namespaced")
    install(ROOT, folder, NAMESPACED="1")
    assert {path.name for path in folder.iterdir() if ".dist-info" not in path.name} == {"django_starter_tasks"}
    (folder / "progress").mkdir()
    (folder / "progress" / "__init__.py").touch()
    (folder / "progress" / "bar.py").write_text('Bar = "the bar of PyPI"\n')
    return folder


@dataclass(frozen=True)
class Installed:
    """An environment in which ours has just been installed, and the seconds that its installation took."""

    python: str
    took: float
    #: The same of celery-progress, which was there before.
    peer_took: float


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Installed:
    """What a project has, Django, Celery and celery-progress; then ours, as the document's first step has it."""
    folder = tmp_path_factory.mktemp("venv")
    run([sys.executable, "-m", "venv", "."], folder)
    (step,) = [block.text.strip() for block in section("Progress and runs") if "pip install" in block.text]
    took = []
    for command in ("pip install Django celery[redis]", "pip install celery-progress", step):
        began = time.monotonic()
        words = command.replace("path/of/the/checkout", str(ROOT)).split()
        run([str(folder / "bin" / "python"), "-m", *words], folder, environment(""))
        took.append(time.monotonic() - began)
    return Installed(str(folder / "bin" / "python"), took[2], took[1])


def install(what: Path, folder: Path, **more: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(what)]
    run(command, folder, {**os.environ, **more})


def environment(site: Path | str) -> dict[str, str]:
    """Of a shell that knows nothing of this checkout."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    return {**{name: os.environ[name] for name in kept if name in os.environ}, "PYTHONPATH": str(site)}


def run(command: list[str], cwd: Path, env: dict[str, str] | None = None) -> str:
    """What it prints; a failure is shown whole."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
