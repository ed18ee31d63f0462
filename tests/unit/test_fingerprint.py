"""Which failures are the same: the type, and the last frame of one's own code."""

from __future__ import annotations

import json
import sys
import textwrap
import traceback
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Concat

from django_starter.environment import commit
from tasks.models import TaskRun
from tasks.runs.fingerprint import fingerprint_of, place_of

PYTHON = Path(json.__file__)
INSTALLED = f"{sys.prefix}/lib/python3/site-packages/shop/client.py"
PROJECT = "/srv/releases/7/shop/orders.py"
WRAPPER = str(Path(__file__).resolve().parents[2] / "tasks" / "celery" / "task.py")


def told(*frames: tuple[str, str], error: str = "KeyError: 'SKU-1'") -> str:
    lines = [f'  File "{file}", line {number}, in {name}\n    code()' for number, (file, name) in enumerate(frames, 7)]
    return "\n".join(["Traceback (most recent call last):", *lines, error, ""])


HERE, CELERY = (PROJECT, "save"), (WRAPPER, "__call__")
LIBRARY, STANDARD = (INSTALLED, "get"), (str(PYTHON), "loads")
QUOTED = told(("/other/place.py", "quoted"), error="ValueError: inner")
#: A traceback → its place.
PLACES = {
    "one's own": (told(CELERY, HERE), "save (shop/orders.py)"),
    "below it a library": (told(CELERY, HERE, LIBRARY), "save (shop/orders.py)"),
    "below it Python's own": (told(CELERY, HERE, STANDARD), "save (shop/orders.py)"),
    "the last of one's own": (told((PROJECT, "run"), HERE, STANDARD), "save (shop/orders.py)"),
    "a frozen module": (told(HERE, ("<frozen importlib._bootstrap>", "_load")), "save (shop/orders.py)"),
    "raised while another was handled": (
        told((PROJECT, "first")) + "\nDuring handling of it, another exception occurred:\n\n" + told(HERE),
        "save (shop/orders.py)",
    ),
    "of a group": (
        textwrap.indent(told(HERE), "  | ").replace("  | Traceback", "  + Exception Group Traceback", 1),
        "save (shop/orders.py)",
    ),
    "none of one's own": (told(CELERY, LIBRARY), ""),
    "no traceback": ("", ""),
    "no traceback at all": ("something else", ""),
}


@pytest.fixture(autouse=True)
def project(monkeypatch):
    monkeypatch.setattr(sys, "path", ["/srv/releases/7", *sys.path])


@pytest.mark.parametrize("name", PLACES)
def test_the_place_is_the_last_frame_of_ones_own_code(name):
    text, place = PLACES[name]
    assert place_of(text) == place


def test_a_traceback_within_the_message_is_no_place():
    text = told(HERE, error=f"RuntimeError: it said {QUOTED}")
    assert place_of(text, f"it said {QUOTED}") == "save (shop/orders.py)"


def test_a_line_that_moves_is_the_same_failure_and_another_function_is_not():
    error: Any = {"type": "KeyError", "message": "'SKU-1'"}
    first = fingerprint_of("FAILURE", error, told(HERE))
    assert first == "KeyError in save (shop/orders.py)"
    assert fingerprint_of("FAILURE", error, told(CELERY, CELERY, HERE)) == first
    assert fingerprint_of("FAILURE", error, told((PROJECT, "load"))) != first
    error["type"] = "ValueError"
    assert fingerprint_of("FAILURE", error, told(HERE)) != first


def test_a_real_traceback_has_its_place():
    def save() -> None:
        json.loads("{")

    try:
        save()
    except ValueError:
        assert place_of(traceback.format_exc()) == "save (tests/unit/test_fingerprint.py)"


@pytest.mark.parametrize("state", ["SUCCESS", "REVOKED"])
def test_what_is_no_failure_has_none(state):
    assert fingerprint_of(state, {"type": "Cancelled", "message": ""}, told(HERE)) is None


def test_without_a_place_it_is_the_tasks():
    assert isinstance(fingerprint_of("FAILURE", {"type": "WorkerLost", "message": ""}, ""), Concat)


def test_the_longest_fits_its_column():
    error: Any = {"type": "E" * 300, "message": "x"}
    text = told((f"/srv/releases/7/{'d' * 300}.py", "f" * 300))
    fields: Any = [TaskRun._meta.get_field(one) for one in ("fingerprint", "name")]
    longest, name = (field.max_length for field in fields)
    assert 200 < len(str(fingerprint_of("FAILURE", error, text))) <= longest
    assert len("E" * 40 + " in ") + name <= longest


# --- the commit of a checkout -----------------------------------------------------------------------------------------

COMMIT = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"HEAD": f"{COMMIT}\n"}, "a1b2c3d"),
        ({"HEAD": "ref: refs/heads/main\n", "refs__heads__main": f"{COMMIT}\n"}, "a1b2c3d"),
        ({"HEAD": "ref: refs/heads/main\n", "packed_refs": f"# packed\n{COMMIT} refs/heads/main\n"}, "a1b2c3d"),
        ({"HEAD": "ref: refs/heads/new\n"}, ""),
        ({"HEAD": "nonsense\n"}, ""),
        ({}, ""),
    ],
)
def test_the_commit_is_read_from_the_checkout(tmp_path, files, found):
    write(tmp_path / ".git", **files)
    assert commit(tmp_path) == found
    further = tmp_path / "further"
    write(further)
    further.mkdir(exist_ok=True)
    (further / ".git").write_text(f"gitdir: {tmp_path / '.git' / 'worktrees' / 'further'}\n")
    if files:
        write(tmp_path / ".git" / "worktrees" / "further", HEAD=files["HEAD"], commondir="../..\n")
    assert commit(further) == found
