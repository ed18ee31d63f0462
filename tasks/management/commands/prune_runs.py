"""`manage.py prune_runs --older-than 30d`"""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tasks.runs.prune import KEEP_RUNS, parse_age, prune


class Command(BaseCommand):
    help = "Delete runs that ended long ago. Runs that wait or run are never deleted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", default=KEEP_RUNS, metavar="AGE", help="30d, 12h, 90m or 2w (default 30d)")

    def handle(self, *args: object, **options: object) -> None:
        try:
            age = parse_age(str(options["older_than"]))
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Deleted {prune(age)} runs.")
