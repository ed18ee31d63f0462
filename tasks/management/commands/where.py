"""`manage.py where <task_id>`: the Python stack of a running task, now."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks.runs.where import where


class Command(BaseCommand):
    """Files, lines and functions; no arguments and no local variables."""

    help = "Where a running task is: the Python stack of its thread, now, the innermost call last."

    def add_arguments(self, parser: CommandParser) -> None:
        """The run's id."""
        parser.add_argument("task_id", help="the id of the run, as its page shows it")

    def handle(self, *, task_id: str, **_: object) -> None:
        """Print it, or say why not and exit with 1."""
        found = where(task_id)
        if not found.stack:
            raise CommandError(found.why_not)
        self.stdout.write(found.stack)
