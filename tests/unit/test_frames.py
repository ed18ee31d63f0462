"""A traceback with one's own frames open and those of libraries folded; nothing of it is lost."""

from __future__ import annotations

import sys
import sysconfig
import traceback

import pytest

from tasks.web.frames import frames_of

STDLIB = sysconfig.get_path("stdlib")
HEAD = "Traceback (most recent call last):\n"


def frame(path: str, code: str = "call()") -> str:
    return f'  File "{path}", line 3, in go\n    {code}\n    ^^^^\n'


OWN, LIBRARY = frame("/srv/shop/orders.py"), frame("/v/site-packages/celery/app/trace.py")

#: name: the traceback, and which of its pieces are own.
KINDS = {
    "nothing": ("", []),
    "no frames": ("RecursionError: too deep", [True]),
    "own alone": (HEAD + OWN + "KeyError: 1", [True]),
    "a library calls": (HEAD + LIBRARY + OWN + "KeyError: 1", [True, False, True]),
    "a library breaks": (HEAD + OWN + LIBRARY + LIBRARY + "KeyError: 1", [True, False, True]),
    "the standard library": (HEAD + frame(f"{STDLIB}/json/decoder.py") + "ValueError: x", [True, False, True]),
    "frozen": (HEAD + frame("<frozen importlib._bootstrap>") + "ImportError: x", [True, False, True]),
    "this project's way to call a task": (
        HEAD + frame(sys.modules["tasks"].__path__[0] + "/celery/task.py") + OWN + "KeyError: 1",
        [True, False, True],
    ),
    "one after another": (
        HEAD + LIBRARY + "KeyError: 1\n\nDuring handling of the above, another occurred:\n\n" + HEAD + OWN + "E: 2",
        [True, False, True],
    ),
    "an error of many lines": (HEAD + OWN + "E: first\n  second\nthird", [True]),
    "a job of this project": (HEAD + frame(sys.modules["tasks"].__path__[0] + "/jobs/demo.py") + "E: 1", [True]),
}


@pytest.mark.parametrize("name", KINDS)
def test_frames_of_libraries_are_folded(name):
    text, own = KINDS[name]
    found = frames_of(text)
    assert [one for one, _ in found] == own
    assert "\n".join(piece for _, piece in found) == text


def test_a_real_traceback_is_whole():
    try:
        sysconfig.get_path("no such path")
    except KeyError:
        text = traceback.format_exc().rstrip("\n")
    found = frames_of(text)
    assert [own for own, _ in found] == [True, False, True]
    assert __file__ in found[0][1] and "sysconfig" in found[1][1] and "KeyError" in found[2][1]
