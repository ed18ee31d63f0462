"""An UPDATE that says in the same round trip which rows it has changed, as they are now."""

from __future__ import annotations

from typing import cast

from django.db import connections
from django.db.models import QuerySet
from django.db.models.sql import UpdateQuery

from tasks.models import TaskRun


def update_returning(found: QuerySet[TaskRun], **values: object) -> list[TaskRun]:
    """`found.update(**values)`; the rows that it changed. PostgreSQL, and SQLite from 3.35."""
    query = cast(UpdateQuery, found.query.chain(UpdateQuery))
    query.clear_ordering(force=True)
    query.add_update_values(values)
    using = TaskRun.objects.db
    connection = connections[using]
    sql, params = query.get_compiler(using).as_sql()
    fields = [field for field in TaskRun._meta.concrete_fields if field.name != "checkpoint"]  # as `TaskRun.objects`
    columns = ", ".join(connection.ops.quote_name(str(field.column)) for field in fields)
    return list(TaskRun.objects.using(using).raw(f"{sql} RETURNING {columns}", tuple(params)))
