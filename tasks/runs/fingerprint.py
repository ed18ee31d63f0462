"""Which failures are the same: those of one type, raised at the same place of one's own code."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from functools import cache
from pathlib import Path

from django.db.models import CharField, F, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Concat

from progress.messages import TaskError
from tasks.models import State

from .message import plain

#: Characters of an error's type, of a file's name and of a function's: together with a task's name they fit the column.
MAX_TYPE, MAX_FILE, MAX_FUNCTION = 40, 120, 60
#: What stands between the type and the place; a search for a type reads up to it.
IN = " in "

_FRAME = re.compile(r'^[\s|]*File "(.+?)", line \d+, in (.+)$', re.MULTILINE)
_OURS = Path(__file__).resolve().parents[2]
#: Code around a task, which is in nearly every traceback.
_AROUND = tuple(f"{_OURS}/{room}/" for room in ("progress", "tasks/celery", "tasks/huey", "tasks/runs", "tasks/resume"))


def fingerprint_of(state: str, error: TaskError | None, traceback: str) -> str | Combinable | None:
    """For the column: "KeyError in save (shop/orders.py)", without its line, which the next release moves.

    Where no frame is one's own, in the task. None of what is no failure. Never raises: an end is recorded.
    """
    if state != State.FAILURE:
        return None
    kind = plain(str(error["type"] if error else "Error"))[:MAX_TYPE]
    place = place_of(traceback, str(error["message"]) if error else "")
    return kind + IN + place if place else Concat(Value(kind + IN), F("name"), output_field=CharField())


def place_of(traceback: str, message: str = "") -> str:
    """The last frame of one's own code in the traceback of what was raised in the end; "" where there is none.

    `message`: the error's, which may quote another traceback.
    """
    end = traceback.rfind(message) if message else -1
    text = traceback[:end] if end > 0 else traceback
    frames: list[tuple[str, str]] = _FRAME.findall(text)
    for file, function in reversed(frames):
        if is_own(file):
            return plain(f"{function.strip()[:MAX_FUNCTION]} ({_short(file)[-MAX_FILE:]})")
    return ""


def is_own(file: str) -> bool:
    """True of a file that is neither Python's, nor an installed package's, nor of those that run tasks here."""
    if file.startswith("<") or {"site-packages", "dist-packages"} & set(Path(file).parts):
        return False
    return not os.path.abspath(file).startswith((*_pythons(), *_AROUND))


@cache
def _pythons() -> tuple[str, ...]:
    """Where Python's own modules are."""
    found = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    return tuple(f"{place.rstrip('/')}/" for one in found for place in {one, os.path.realpath(one)})


def _short(file: str) -> str:
    """Below the folder that it is imported from: a release in a folder of its own has the same names."""
    whole = os.path.abspath(file)
    folders = sorted((os.path.abspath(folder) for folder in sys.path), key=len, reverse=True)
    for folder in folders:
        if whole.startswith(folder.rstrip("/") + "/"):
            return whole[len(folder.rstrip("/")) + 1 :]
    return "/".join(Path(whole).parts[-2:])
