"""What a check found out: its four kinds, and one way to make each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`detail` is for people; `hint` is what puts it right: lines to paste, each perhaps with a `# reason`.

    `milliseconds`: the round trip that was measured, None where none was.
    """

    status: Status
    detail: str
    hint: str = ""
    milliseconds: float | None = None

    def as_json(self, name: str) -> dict[str, object]:
        """The object that `--json` prints for it."""
        took = None if self.milliseconds is None else round(self.milliseconds, 1)
        return {
            "name": name,
            "status": self.status,
            "detail": self.detail,
            "hint": self.hint,
            "milliseconds": took,
        }


def ok(detail: str, seconds: float | None = None) -> Finding:
    """As it should be; `seconds` is the measured round trip."""
    return Finding("ok", detail, milliseconds=None if seconds is None else seconds * 1000)


def warning(detail: str, hint: str) -> Finding:
    """It works, but an operator should know."""
    return Finding("warning", detail, hint)


def failed(detail: str, hint: str) -> Finding:
    """It does not work, or will not."""
    return Finding("failed", detail, hint)


def skipped(why: str) -> Finding:
    """It could not be run, or was not to be."""
    return Finding("skipped", why)
