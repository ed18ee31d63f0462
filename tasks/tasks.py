"""The Celery shells of the jobs. The work stands in `jobs/`, as plain functions that can be tested without a queue."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.db import InterfaceError, OperationalError

from .downloads.job import DownloadFailed, download
from .downloads.wanted import Wanted
from .forms import LongRunningForm
from .jobs.canary import canary as sing
from .jobs.demo import demo
from .jobs.long_running import long_running
from .startable import startable


@startable(form=LongRunningForm)
@shared_task
def long_running_task(steps: int = 100, delay: float = 0.1) -> dict[str, float]:
    """Take `steps` steps of `delay` seconds each."""
    return long_running(steps, delay)


@startable()
@shared_task
def demo_task() -> str:
    """Show steps, messages, a log and a result within a second."""
    return demo()


@shared_task(max_attempts=1, expires=60)  # type: ignore[call-overload, untyped-decorator]  # max_attempts is ours
def canary() -> str:
    """Come back alive: `manage.py doctor` starts it, and removes its run."""
    return sing()


@shared_task(  # type: ignore[call-overload, untyped-decorator]  # celery-types does not know our one_while_active
    bind=True,
    one_while_active=("start_date", "end_date", "sellers"),
    # A database that restarts: the next attempt goes on with the reports that are missing.
    autoretry_for=(OperationalError, InterfaceError),
    retry_backoff=2,
    max_retries=5,
    throws=(DownloadFailed,),
)
def download_reports(
    self: Any, start_date: str, end_date: str, sellers: list[str], launcher: str, continues: str | None = None
) -> dict[str, Any]:
    """Download the reports of `sellers` for all days from `start_date` to `end_date` (YYYY-MM-DD)."""
    wanted = Wanted.from_arguments(start_date, end_date, sellers, launcher)
    return download(wanted, self.request.id, attempt=getattr(self.request, "attempt", 0), continues=continues)
