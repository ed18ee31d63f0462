"""`manage.py download 2026-01-01 2026-01-31 SELLER --launcher me`"""

from __future__ import annotations

import hashlib
import json

from django.core.management.base import BaseCommand, CommandError, CommandParser

from progress.terminal import in_terminal
from tasks.downloads.files import ready, storage
from tasks.downloads.form import DownloadForm
from tasks.downloads.job import DownloadFailed, download
from tasks.downloads.models import SavedReport


class Command(BaseCommand):
    help = (
        "Download reports here, without a queue, a worker or a browser. "
        "One that was interrupted goes on where it stood when it is called again in the same way."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("start_date", metavar="FIRST_DAY", help="YYYY-MM-DD")
        parser.add_argument("end_date", metavar="LAST_DAY", help="YYYY-MM-DD")
        parser.add_argument("sellers", nargs="+", metavar="SELLER")
        parser.add_argument("--launcher", required=True, help="your name")

    def handle(
        self, *args: object, start_date: str, end_date: str, sellers: list[str], launcher: str, **options: object
    ) -> None:
        days = {"start_date": start_date, "end_date": end_date}
        form = DownloadForm({**days, "launcher": launcher, "seller_id": ",".join(sellers)})
        if not form.is_valid():
            raise CommandError(" ".join(sentence for errors in form.errors.values() for sentence in map(str, errors)))
        wanted = form.wanted()
        # The same request has the same id, so what an interrupted one saved is found again.
        asked = json.dumps({**wanted.as_arguments(), "launcher": ""}).encode()
        run_id = f"command-{hashlib.sha256(asked).hexdigest()[:16]}"
        try:
            with in_terminal():
                result = download(wanted, run_id)
        except DownloadFailed as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted. The same command goes on where this one stood.") from None
        if not result["days_failed"]:
            SavedReport.objects.filter(run_id=run_id).delete()  # the next call fetches all of it again
        self.stdout.write(f"{result['records']:,} records saved in {result['seconds']:g} s.")
        for failed in result["failed"]:
            self.stdout.write(self.style.WARNING(f"{failed['report']} failed: {failed['why']}"))
        for file in ready([run_id]).get(run_id, ()):
            self.stdout.write(_place(file.name))


def _place(name: str) -> str:
    try:
        return storage().path(name)
    except NotImplementedError:  # a storage that is no folder
        return storage().url(name)
