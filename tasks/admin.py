"""Runs in Django's admin: to read, filter and search. They change by running."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from progress.texts import said_tries

from .models import TaskRun
from .runs.state import listed, public_state

#: Columns that no page shows: a viewer's session is as good as a password, and keys of starts carry it too.
SECRET = ("session_key", "idempotency_key", "active_key")


@admin.register(TaskRun)
class TaskRunAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic at run time
    """Read only."""

    date_hierarchy = "accepted_at"
    exclude = (*SECRET, "traceback")
    list_display = (
        *("id", "name", "state", "said_tries", "owner", "queue", "worker", "accepted_at", "finished_at"),
        "periodic",
    )
    list_filter = ("state", "name", "queue")
    list_select_related = ("owner",)
    readonly_fields = ("said_tries", "traceback_lines")
    search_fields = ("id", "name", "owner__username", "worker", "parent_id", "group_id")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[TaskRun]:
        """A page of a hundred runs does not load their results; a run's own page does."""
        return listed(super().get_queryset(request))

    @admin.display(description="tries", ordering="attempt")
    def said_tries(self, run: TaskRun) -> str:
        """Which try it is in, and how many workers it has lost."""
        return said_tries(public_state(run)) or "-"

    @admin.display(description="traceback")
    def traceback_lines(self, run: TaskRun) -> SafeString | str:
        """Line by line, as it was written."""
        return format_html("<pre>{}</pre>", run.traceback) if run.traceback else "-"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: TaskRun | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: TaskRun | None = None) -> bool:
        return False
