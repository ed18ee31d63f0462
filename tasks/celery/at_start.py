"""A worker does not begin under settings with which it could not keep what is promised.

Connected when Django is set up, and so also in a worker that nobody gave a heart.
"""

from __future__ import annotations

import os

from celery import signals
from django.core.checks import ERROR, run_checks


@signals.worker_init.connect
def refuse_contradictions(**_: object) -> None:
    """Celery runs the checks and does not look at the answer. `CELERY_SKIP_CHECKS` skips these too."""
    if os.environ.get("CELERY_SKIP_CHECKS"):
        return
    found = [one for one in run_checks(tags=["progress", "tasks"]) if one.is_serious(ERROR) and not one.is_silenced()]
    if found:
        raise SystemExit("\n".join(str(one) for one in found))
