"""A worker does not begin under settings with which it could not keep what is promised."""

from __future__ import annotations

import os

from django.core.checks import ERROR, run_checks


def refuse_contradictions() -> None:
    """Raises SystemExit with what `manage.py check` says of them. `CELERY_SKIP_CHECKS` skips these too."""
    if os.environ.get("CELERY_SKIP_CHECKS"):
        return
    found = [one for one in run_checks(tags=["progress", "tasks"]) if one.is_serious(ERROR) and not one.is_silenced()]
    if found:
        raise SystemExit("\n".join(str(one) for one in found))
