"""celery-progress's recorder, over this package: change the import, keep the task.

from progress.compat import ProgressRecorder
"""

from __future__ import annotations

from .reporter import current
from .types import JSON


class ProgressRecorder:
    """Takes the place of `celery_progress.backend.ProgressRecorder` and of its WebSocket form."""

    def __init__(self, task: object = None) -> None:
        self.task = task

    def set_progress(self, current: float, total: float, description: str = "") -> tuple[str, dict[str, JSON]]:
        """Say that `current` of `total` is done. Returns what celery-progress returns: state and meta."""
        reporter = _reporter()
        if reporter is not None:
            reporter.set(current, total, description or None)
        percent = round(100 * current / total, 2) if total else 0
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
            if description:
                reporter.message = description
            reporter.advance(by)


WebSocketProgressRecorder = ProgressRecorder

_reporter = current
