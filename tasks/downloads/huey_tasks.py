"""The Huey shell of a download, for `DOWNLOADS_ENGINE=huey`. The work is in `job.py`."""

from __future__ import annotations

from typing import Protocol

from django.db import InterfaceError, OperationalError
from huey.contrib.djhuey import db_task

import progress

from .job import Result, download
from .wanted import Wanted


class Running(Protocol):
    """Huey's task, which it hands to its function."""

    id: str
    retries: int


@db_task(  # type: ignore[untyped-decorator]  # huey has no types
    run_name="tasks.tasks.download_reports",  # as it is stored in rows, whatever engine does it
    context=True,
    one_while_active=("start_date", "end_date", "sellers"),
    # A database that restarts: the next attempt goes on with the reports that are missing.
    retries=5,
    retry_delay=2,
    retry_backoff=2,
)
def download_reports(
    start_date: str,
    end_date: str,
    sellers: list[str],
    launcher: str,
    continues: str | None = None,
    task: Running | None = None,
) -> Result:
    """Download the reports of `sellers` for all days from `start_date` to `end_date` (YYYY-MM-DD)."""
    assert task is not None  # context=True
    wanted = Wanted.from_arguments(start_date, end_date, sellers, launcher)
    attempt = progress.current()
    try:
        return download(wanted, task.id, attempt=attempt.attempt if attempt is not None else 0, continues=continues)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        task.retries = 0  # what did not work once will not
        raise
