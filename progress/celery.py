"""The adapter to Celery: code that was written for Celery alone moves the bar too."""

from __future__ import annotations

from typing import Any

from .active import current


def show_meta(meta: object) -> None:
    """What a task gave to `self.update_state(meta=…)`, shown by the running task's reporter.

    Understood are `current` (or `done`), `total`, `message` (or `description`, `status`) and `unit`; the rest is left.
    """
    reporter = current()
    if reporter is None:
        return
    try:
        said = _said(meta)
    except Exception:  # a meta that cannot be read: telling never hurts doing
        return
    reporter.set(*said)


def _said(meta: object) -> tuple[Any, Any, Any, Any]:
    if not isinstance(meta, dict):
        return None, None, None, None
    message = meta.get("message", meta.get("description", meta.get("status")))
    return meta.get("current", meta.get("done")), meta.get("total"), message, meta.get("unit")
