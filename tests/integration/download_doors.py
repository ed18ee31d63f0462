"""The doors of report downloads: rows for the table of all doors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.files.base import ContentFile
from django.utils import timezone

from tasks.downloads import files
from tasks.downloads.models import ReportFile
from tasks.downloads.tasks import download_reports
from tasks.models import State, TaskRun

RUN = "<task_id:task_id>"

TABLE: dict[tuple[str, str], str] = {
    ("POST", "downloads/"): "303! 303! 303! 302 302 403",
    ("POST", f"downloads/{RUN}/missing/"): "302! 404 302! 302 302 403",
    ("GET", f"downloads/{RUN}/<slug:kind>/"): "200 404 404 302 302 200",
}
PARTS = {"<slug:kind>": "csv"}
FORMS: dict[str, dict[str, str]] = {
    "downloads/": {"launcher": "Ann", "seller_id": "S1", "start_date": "2026-01-01", "end_date": "2026-01-02"},
}


def end(scene: Any) -> None:
    """The run has ended, as a download in which a day is missing."""
    kwargs = {"launcher": "Ann", "sellers": ["S1"], "start_date": "2026-01-01", "end_date": "2026-01-02"}
    TaskRun.objects.filter(pk=scene.run).update(
        state=State.SUCCESS,
        finished_at=timezone.now(),
        name=download_reports.name,
        message={"args": [], "kwargs": kwargs, "options": {}},
        result={"days_failed": 1},
    )


def keep_file(scene: Any) -> None:
    """The run has made a file."""
    name = files.storage().save("one.csv", ContentFile(b"a,b\r\n"))
    expires = timezone.now() + timedelta(days=1)
    ReportFile.objects.create(run_id=scene.run, kind="csv", name=name, filename="one.csv", size=5, expires_at=expires)


PREPARE: dict[str, Callable[[Any], None]] = {
    f"downloads/{RUN}/missing/": end,
    f"downloads/{RUN}/<slug:kind>/": keep_file,
}
