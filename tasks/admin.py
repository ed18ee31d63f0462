"""Runs in Django's admin: to read, filter and search. They change by running."""

from __future__ import annotations

from typing import cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString

from progress.texts import said_tries

from .models import TaskRun
from .runs.bounded import count
from .runs.search import search
from .runs.state import listed, public_state

#: Columns that no page shows: a viewer's session is as good as a password, and keys of starts carry it too.
SECRET = ("session_key", "idempotency_key", "active_key")


class Pages(Paginator):  # type: ignore[type-arg]  # no generic at run time
    """Counts as far as somebody turns pages."""

    @cached_property
    def count(self) -> int:
        """Up to `COUNTED`."""
        return count(cast("QuerySet[TaskRun]", self.object_list)).number


@admin.register(TaskRun)
class TaskRunAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic at run time
    """Read only."""

    # No date hierarchy, and no filter by the values of a column: each reads all runs.
    paginator = Pages
    exclude = (*SECRET, "traceback")
    list_display = (
        *("id", "name", "state", "said_tries", "owner", "queue", "worker", "accepted_at", "finished_at"),
        "periodic",
    )
    list_filter = ("state",)
    list_select_related = ("owner",)
    readonly_fields = ("said_tries", "traceback_lines")
    search_fields = ("id",)  # shows the box; `search` says what it finds
    show_full_result_count = False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TaskRun], search_term: str
    ) -> tuple[QuerySet[TaskRun], bool]:
        """As the list for staff searches; a parent's or a group's id finds what belongs to it."""
        if not search_term:
            return queryset, False
        of = Q(pk__in=search(search_term).ids) | Q(parent_id=search_term) | Q(group_id=search_term)
        return queryset.filter(of), False

    def lookup_allowed(self, lookup: str, value: object, request: HttpRequest | None = None) -> bool:
        """By the filter alone: other words of an address may say what no database can read, a year 0."""
        return lookup in ("state", "state__exact")

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
