"""The Celery shell of a download. The work is in `job.py`."""

from __future__ import annotations

from celery import shared_task
from django.db import InterfaceError, OperationalError

from tasks.celery.types import CeleryTask

from .job import DownloadFailed, Result, download
from .shells import NAME
from .wanted import Wanted


@shared_task(  # type: ignore[call-overload, untyped-decorator]  # celery-types does not know our one_while_active
    bind=True,
    name=NAME,
    one_while_active=("start_date", "end_date", "sellers"),
    # A database that restarts: the next attempt goes on with the reports that are missing.
    autoretry_for=(OperationalError, InterfaceError),
    retry_backoff=2,
    max_retries=5,
    throws=(DownloadFailed,),
)
def download_reports(
    self: CeleryTask, start_date: str, end_date: str, sellers: list[str], launcher: str, continues: str | None = None
) -> Result:
    """Download the reports of `sellers` for all days from `start_date` to `end_date` (YYYY-MM-DD)."""
    wanted = Wanted.from_arguments(start_date, end_date, sellers, launcher)
    return download(wanted, self.request.id, attempt=getattr(self.request, "attempt", 0), continues=continues)
