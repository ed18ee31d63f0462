"""Celery's worker looks at the checks before it begins; Celery itself runs them and does not look at the answer.

Connected when Django is set up, and so also in a worker that nobody gave a heart.
"""

from __future__ import annotations

from celery import signals

from tasks.runs import contradictions


@signals.worker_init.connect
def refuse_contradictions(**_: object) -> None:
    """See `runs.contradictions`."""
    contradictions.refuse_contradictions()
