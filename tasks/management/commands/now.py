"""`manage.py now`: what /runs/now/ shows, in a terminal."""

from __future__ import annotations

import json

from django.core.management.base import BaseCommand, CommandParser

from tasks.runs.incident import span_text
from tasks.runs.now import Now, look


class Command(BaseCommand):
    help = "What is wrong, in a sentence; then failures in groups, queues and workers."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: object, **options: object) -> None:
        now = look()
        if options["json"]:
            self.stdout.write(json.dumps(now.as_json(), indent=2))
            return
        for sentence in now.sentences:
            self.stdout.write(str(sentence))
        self._groups(now)
        self._queues(now)
        self._workers(now)

    def _groups(self, now: Now) -> None:
        self.stdout.write("\nFailures of the last hour")
        for group, is_new, grows in now.groups:
            marks = [f"new since {now.release}"] * is_new + ["grows"] * grows
            self.stdout.write(
                f"  {group.number!s:>7}  {group.fingerprint}" + (f"  ({', '.join(marks)})" if marks else "")
            )
        if not now.groups:
            self.stdout.write("  none")

    def _queues(self, now: Now) -> None:
        self.stdout.write("\nQueues")
        for queue in now.queues:
            oldest = f", the oldest for {span_text(now.at - queue.oldest)}" if queue.oldest else ""
            flow = f"in {queue.came:.1f}, out {queue.went:.1f} a minute, {queue.trend}"
            self.stdout.write(f"  {queue.name}: {queue.waiting} waiting{oldest}; {flow}")

    def _workers(self, now: Now) -> None:
        self.stdout.write("\nWorkers")
        if now.workers is None:
            self.stdout.write("  Redis is down: they cannot be seen")
            return
        for one in now.workers:
            busy = ", ".join(run.name.rpartition(".")[2] for run in one.busy) or "idle"
            silent = f", silent for {span_text(now.at - one.silent_since)}" if one.silent_since else ""
            release = f", release {one.worker.release}" if one.worker.release else ""
            self.stdout.write(f"  {one.worker.hostname}: {busy}{release}, {one.failed} failed in the last hour{silent}")
        if not now.workers:
            self.stdout.write("  none")
