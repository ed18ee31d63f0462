"""`<task_id:…>` in an address: what is no id leads nowhere, before any database is asked."""

from django.urls import register_converter
from django.urls.converters import StringConverter

from .messages import ID_PATTERN


class TaskIdConverter(StringConverter):
    """What a task's id may look like."""

    regex = ID_PATTERN.pattern


register_converter(TaskIdConverter, "task_id")
