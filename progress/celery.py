"""The adapter to Celery: code that was written for Celery alone moves the bar too."""

from __future__ import annotations

from .reporter import current


def show_meta(meta: object) -> None:
    """What a task gave to `self.update_state(meta=…)`, shown by the running task's reporter.

    Understood are `current` (or `done`), `total`, `message` (or `description`, `status`) and `unit`; the rest is left.
    """
    reporter = current()
    if reporter is None or not isinstance(meta, dict):
        return
    reporter.set(
        current=meta.get("current", meta.get("done")),
        total=meta.get("total"),
        message=meta.get("message", meta.get("description", meta.get("status"))),
        unit=meta.get("unit"),
    )
