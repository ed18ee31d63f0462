"""celery-progress's recorder, over this package: change the import, keep the task.

from progress.compat import ProgressRecorder
"""

from __future__ import annotations

from .threads import reporter_here
from .types import JSON
from .values import MAX_MESSAGE, finite, plain_text


class ProgressRecorder:
    """Takes the place of `celery_progress.backend.ProgressRecorder` and of its WebSocket form."""

    def __init__(self, task: object = None) -> None:
        self.task = task

    def set_progress(self, current: float, total: float, description: str = "") -> tuple[str, dict[str, JSON]]:
        """Say that `current` of `total` is done. Returns what celery-progress returns: state and meta."""
        reporter = _reporter()
        if reporter is not None:
            reporter.set(current, total, plain_text(description, MAX_MESSAGE) or None)
        done, whole = finite(current), finite(total)
        percent = finite(round(100 * done / whole, 2)) or 0 if whole and done is not None else 0
        meta: dict[str, JSON] = {
            "pending": False,
            "current": current,
            "total": total,
            "percent": percent,
            "description": description,
        }
        return "PROGRESS", meta

    def increment_progress(self, by: float = 1, description: str = "") -> None:
        """Add `by` to what is done."""
        reporter = _reporter()
        if reporter is not None:
            reporter.message = plain_text(description, MAX_MESSAGE) or reporter.message
            reporter.advance(by)


WebSocketProgressRecorder = ProgressRecorder

_reporter = reporter_here
