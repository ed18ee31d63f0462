"""The database backend: Django's own, over `Line`s, in every process as robust as in a request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from .line import Line


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection that its server has closed is made again, wherever no transaction is open.

    Django does this at the start of a request (and of a task, for Celery) alone: a management command, a shell, `celery
    beat` or a thread of one's own never stored anything again once PostgreSQL had been restarted.
    """

    #: psycopg, but for its `connect`.
    Database: Any = SimpleNamespace(**{**vars(psycopg), "connect": Line.connect})

    @property
    def pool(self) -> object:
        """Of `Line`s, too."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if options:
            options = {} if options is True else options
            self.settings_dict["OPTIONS"]["pool"] = {"connection_class": Line, **options}
        return super().pool

    def close_if_health_check_failed(self) -> None:
        """Called by Django before each question, and before each transaction."""
        line = self.connection
        free = self.autocommit and not self.in_atomic_block
        # What has come may have been a notice: then it is as good as before.
        if free and isinstance(line, Line) and line.is_cut() and (line.closed or not self.is_usable()):
            self.close()
        super().close_if_health_check_failed()
