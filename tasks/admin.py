"""Runs in Django's admin: to read, filter and search. They change by running."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from .models import TaskRun


@admin.register(TaskRun)
class TaskRunAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # no generic at run time
    """Read only."""

    date_hierarchy = "accepted_at"
    list_display = (
        "id",
        "name",
        "state",
        "attempt",
        "owner",
        "queue",
        "worker",
        "accepted_at",
        "finished_at",
        "periodic",
    )
    list_filter = ("state", "name", "queue")
    list_select_related = ("owner",)
    search_fields = ("id", "name", "owner__username", "worker", "parent_id", "group_id")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: TaskRun | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: TaskRun | None = None) -> bool:
        return False
