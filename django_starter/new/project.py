"""From this checkout to one of somebody's own: copied without history, cut, renamed, with its own users and key."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .cuts import change, without_dead_links, without_demos, without_downloads, without_starter

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
#: Of this checkout alone: history, keys, data, what tools keep.
LEFT = shutil.ignore_patterns(
    *(".git", ".venv*", ".dev", ".env", "__pycache__", "*.pyc", ".*_cache", ".hypothesis", ".coverage", ".matrix"),
    *("node_modules", "staticfiles", "media", "dist", "build", "*.egg-info"),
)
#: What cannot be a name: these are packages of a checkout already.
TAKEN = {"tasks", "progress", "tests", "templates", "docs", "deploy", "benchmarks", "django_starter", "accounts"}
#: More would leave no room in lines and pages.
LONGEST = 30

README = """# {name}

Background tasks with Django and Celery. Each is stored, shown live, and ends in a state that is true.

```sh
./start_dev.sh     # everything, on a machine that has nothing but Python 3.11 or newer
./run_tests.sh     # every test; `./run_tests.sh quick` takes about a minute
```

The page is at <http://localhost:8001/>. Settings are in `.env` ([.env.example](.env.example) lists them), users are
`{name}.accounts.User`, a new task is a function in the `tasks.py` of an app of yours:

```python
from celery import shared_task

import progress
from tasks.startable import startable


@startable()
@shared_task
def import_orders():
    for number in progress.track(range(200), unit="orders"):
        print(number)
```

How it is built: [docs/ARCHITECTURE.md](docs/ARCHITECTURE.md). On servers: [docs/OPERATIONS.md](docs/OPERATIONS.md).
(`docs/` came along with the starter that this project began as.)
"""


class Refused(Exception):
    """It cannot be made as it is wanted; the message is for people."""


@dataclass(frozen=True)
class Wanted:
    """A name for the package, a folder that does not exist yet, and what is to be in it."""

    name: str
    folder: Path
    downloads: bool = True
    demos: bool = True


def create(wanted: Wanted) -> None:
    """Make the project. Raises Refused, and then nothing was written."""
    refuse(wanted)
    root = wanted.folder
    shutil.copytree(ROOT, root, ignore=LEFT, dirs_exist_ok=True, symlinks=True)
    without_starter(root)
    if not wanted.downloads:
        without_downloads(root)
    if not wanted.demos:
        without_demos(root)
    add_users(root)
    begin_documents(root, wanted.name)
    without_dead_links(root)
    rename(root, wanted.name)
    begin_settings(root)
    tidy(root)


def refuse(wanted: Wanted) -> None:
    """Raise Refused for a name or a folder that cannot be."""
    name, folder = wanted.name, wanted.folder
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or len(name) > LONGEST:
        raise Refused(f"NAME must be a Python name in small letters, of at most {LONGEST}, but got {name!r}.")
    found = importlib.util.find_spec(name)
    if name in TAKEN or (found and found.origin):  # without an origin: a folder that happens to be near
        raise Refused(f"NAME may not be {name!r}: that is a package already.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"FOLDER must be a new or an empty one, but {folder} has something in it.")
    if folder.resolve().is_relative_to(ROOT):
        raise Refused(f"FOLDER must be outside of this checkout, but got {folder}.")


def add_users(root: Path) -> None:
    """A user model of the project's own from the first migration on: later it cannot be exchanged any more."""
    shutil.copytree(HERE / "accounts", root / "django_starter" / "accounts", ignore=LEFT)
    settings = root / "django_starter" / "settings.py"
    app = '    "django_starter.apps.DjangoStarterConfig",\n'
    change(settings, re.escape(app), f'    "django_starter.accounts",\n{app}')
    change(settings, r"^LOGIN_URL = ", 'AUTH_USER_MODEL = "accounts.User"\nLOGIN_URL = ')
    change(
        root / "tests" / "unit" / "test_rooms_of_the_wiring.py",
        r'^    "postgresql": set\(\),\n',
        '    "postgresql": set(),\n    "accounts": set(),\n',
    )
    change(root / "tests" / "unit" / "test_rooms_of_the_wiring.py", r'^    "new": set\(\),\n')


def begin_documents(root: Path, name: str) -> None:
    (root / "README.md").write_text(README.format(name=name))
    (root / "CHANGELOG.md").write_text("# Changelog\n\nNewest first.\n\n## Unreleased\n")
    change(root / "pyproject.toml", r'^name = "django-starter-tasks"', f'name = "{name.replace("_", "-")}"')
    change(root / "pyproject.toml", r'^version = ".*"', 'version = "0.1.0"')


def rename(root: Path, name: str) -> None:
    """Every `django_starter`, in texts and in names of files; the licence stays whose it is."""
    (root / "django_starter").rename(root / name)
    words = {
        "django_starter": name,
        "django-starter": name.replace("_", "-"),
        "DjangoStarter": "".join(part.capitalize() for part in name.split("_")),
    }
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.is_symlink() or path.name == "LICENSE":
            continue
        try:
            text = found = path.read_text()
        except UnicodeDecodeError:  # a picture
            continue
        for before, after in words.items():
            found = found.replace(before, after)
        if found != text:
            path.write_text(found)


def begin_settings(root: Path) -> None:
    """A key that no other project has, in the file that git does not see."""
    path = root / ".env"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"SECRET_KEY={secrets.token_urlsafe(50)}\n")


def tidy(root: Path) -> None:
    """Another name sorts its imports elsewhere, and breaks its lines elsewhere."""
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--fix"], ["format"], ["check", "--select", "E501", "--add-noqa"], ["check"]):
        done = subprocess.run([*ruff, *command, "--no-cache", "--quiet", "."], cwd=root, capture_output=True, text=True)
        if done.returncode and command != ["check", "--fix"]:
            raise Refused(f"Ruff refuses what was made in {root}:\n{done.stdout}{done.stderr}")
