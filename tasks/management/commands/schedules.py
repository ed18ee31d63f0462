"""`manage.py schedules`: what /schedules/ shows, in a terminal."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from tasks.schedules.outlook import Outlook, outlooks


class Command(BaseCommand):
    help = "Tasks that start by themselves: when each comes next, how its last runs went, and why it does not fire."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("entry", nargs="*", help="only these entries")

    def handle(self, *args: object, **options: object) -> None:
        wanted = [str(name) for name in options["entry"]] if isinstance(options["entry"], (list, tuple)) else []
        found = outlooks(timezone.now(), wanted or None)
        if missing := sorted(set(wanted) - {one.entry.name for one in found}):
            raise CommandError(f"There is no entry {', '.join(missing)}.")
        for one in found:
            self._write(one)
        if not found:
            self.stdout.write("No entry. CELERY_BEAT_SCHEDULE in the settings has them.")

    def _write(self, one: Outlook) -> None:
        self.stdout.write(f"{one.entry.name}: {one.entry.words or 'cannot be read'} → {one.entry.task}")
        for text in one.problems:
            self.stdout.write(f"  ! {text}")
        for text in one.notes:
            self.stdout.write(f"  · {text}")
        for at in one.coming:
            self.stdout.write(f"  next {at:%a %d %b %Y %H:%M:%S %z}")
        for run in one.runs:
            at = (run.tick or run.accepted_at).astimezone(one.zone)
            self.stdout.write(f"  last {at:%a %d %b %Y %H:%M:%S %z}  {run.state}  {run.pk}")
