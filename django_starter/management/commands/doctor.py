"""`manage.py doctor`"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_starter.doctor.checklist import NAMES, run_checks
from django_starter.doctor.context import Context
from django_starter.doctor.screen import lines, style_for, summary
from django_starter.doctor.site import Site


class Command(BaseCommand):
    help = (
        "Look whether everything that a task needs is there and answers; say of each part ok, or what to do. "
        "Ends with 1 when something failed; a warning does not count."
    )
    requires_system_checks: list[str] = []  # they are one of the checks

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", dest="as_json", action="store_true", help="one JSON object, for machines")
        parser.add_argument("--url", help="the site's address, where it is not at PORT of this machine: https://…")
        parser.add_argument("--skip", action="append", default=[], choices=NAMES, help="leave this out; repeatable")

    def handle(
        self, *args: object, url: str | None = None, skip: Sequence[str] = (), as_json: bool = False, **options: object
    ) -> None:
        try:
            context = Context(Site.at(url) if url else Site.here())
        except ValueError as error:
            raise CommandError(str(error)) from error
        style = style_for(self.style)
        logging.disable(logging.CRITICAL)  # what goes wrong is in the findings, once
        try:
            for name, found in run_checks(context, skip):
                if not as_json:
                    self.stdout.write("\n".join(lines(name, found, style)))
                    self.stdout.flush()
        finally:
            logging.disable(logging.NOTSET)
        findings = context.findings
        well = not any(found.status == "failed" for found in findings.values())
        if as_json:
            checks = [found.as_json(name) for name, found in findings.items()]
            self.stdout.write(json.dumps({"status": "ok" if well else "failed", "checks": checks}, ensure_ascii=False))
        else:
            self.stdout.write(summary(findings.values(), style))
        if not well:
            sys.exit(1)
