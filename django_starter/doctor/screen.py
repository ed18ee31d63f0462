"""The findings as people read them: one line each, with what to do beneath."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

from django.core.management.color import Style, no_style

from .finding import Finding

#: Columns of the status and of the name.
STATUS, NAME = 9, 13

#: Django's names of the colours, which DJANGO_COLORS can change.
COLOURS = {"ok": "SUCCESS", "warning": "WARNING", "failed": "ERROR", "skipped": "HTTP_NOT_MODIFIED"}


def style_for(style: Style) -> Style:
    """`style`, or none where NO_COLOR is set (https://no-color.org)."""
    return no_style() if os.environ.get("NO_COLOR") else style


def lines(name: str, found: Finding, style: Style) -> Iterable[str]:
    """The line of a finding, and those of its hint."""
    word = "FAILED" if found.status == "failed" else found.status
    took = "" if found.milliseconds is None else f", {_rounded(found.milliseconds)} ms"
    paint = getattr(style, COLOURS[found.status])
    yield f"{paint(word.ljust(STATUS))}{name.ljust(NAME)}{found.detail}{took}"
    for hint in found.hint.splitlines():
        yield f"{'':{STATUS + NAME}}→ {hint}"


def summary(findings: Iterable[Finding], style: Style) -> str:
    """The last line: how many of each kind."""
    counts: Counter[str] = Counter(found.status for found in findings)
    paint = style.ERROR if counts["failed"] else style.WARNING if counts["warning"] else style.SUCCESS
    return str(paint(", ".join(f"{counts[kind]} {kind}" for kind in COLOURS if counts[kind])))


def _rounded(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:.0f}"
