"""A traceback as its reader wants it: the frames of their own code, and those of libraries folded."""

from __future__ import annotations

import re
import sysconfig
from itertools import groupby
from pathlib import Path

import progress

#: Where a frame begins.
_FRAME = re.compile(r'(?m)^ {2}File "(?P<file>[^"\n]+)", line \d+')
#: What calls a task is a library to its author, wherever it is installed.
_OURS = (
    Path(progress.__file__).parent,
    *(Path(__file__).parents[1] / room for room in ("celery", "huey", "django_tasks", "runs", "resume")),
)
_LIBRARIES = (
    *("/site-packages/", "/dist-packages/", "<frozen "),
    *(f"{one}/" for one in (sysconfig.get_path("stdlib"), *_OURS)),
)


def frames_of(traceback: str) -> list[tuple[bool, str]]:
    """`[(own, text)]` in the order of `traceback`, neighbours of a kind together; its words beside frames are own."""
    starts = [found.start() for found in _FRAME.finditer(traceback)]
    pieces = [traceback[:at] for at in starts[:1]] or [traceback]
    ends = [*starts[1:], len(traceback)][: len(starts)]
    told = [(True, pieces[0])]
    for start, end in zip(starts, ends, strict=True):
        frame, rest = _split(traceback[start:end])
        found = _FRAME.match(frame)
        told.append((found is None or not any(one in found["file"] for one in _LIBRARIES), frame))
        told.append((True, rest))
    told = [(own, text) for own, text in told if text.strip()]
    grouped = groupby(told, key=lambda one: one[0])
    return [(own, "".join(text for _, text in those).rstrip("\n")) for own, those in grouped]


def _split(piece: str) -> tuple[str, str]:
    """A frame's own lines, which are indented, and what follows them: the error, or words between two tracebacks."""
    lines = piece.splitlines(keepends=True)
    count = next((at for at, line in enumerate(lines) if not line.startswith("  ")), len(lines))
    return "".join(lines[:count]), "".join(lines[count:])
