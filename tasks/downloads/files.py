"""The files of a download: the same table as CSV and as XLSX, made as a stream, kept in a storage until they expire."""

from __future__ import annotations

import csv
import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import IO, TypeAlias, TypedDict

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.db.models import OuterRef, Subquery
from django.utils import timezone

import progress
from tasks.runs.fence import fenced

from .formula import safe
from .models import ReportFile, Sales, SavedReport, Traffic
from .report import COLUMNS
from .saving import Key
from .wanted import Wanted
from .xlsx import Workbook

logger = logging.getLogger(__name__)

HEADER = ("Seller ID", *COLUMNS)
#: Characters that a column of the XLSX is wide.
WIDTHS = (16, 12, 36, 20, 16, 12, 16, 12, 14, 22)
#: Rows between two looks at the bar and at the cancel.
STRIDE = 1_000
#: Bytes of a storage that are handed on together.
CHUNK = 256 * 1024
#: A row of the table, in the order of `HEADER`.
Line: TypeAlias = tuple[str, date, str, str, str, str, str, int, Decimal, int | None]


class Shown(TypedDict):
    """What a page or a result says of a file; `size` in bytes."""

    kind: str
    filename: str
    size: int | None
    expires_at: str


def storage() -> Storage:
    """Where files are kept: STORAGES["downloads"], which no address serves."""
    return storages["downloads"]


def write(wanted: Wanted, run_id: str, attempt: int, saved: set[Key], records: int) -> list[ReportFile]:
    """Make both files of what `run_id` has saved, `records` rows. Raises `progress.Cancelled` in a stale attempt."""
    expires_at = timezone.now() + timedelta(days=settings.DOWNLOAD_KEEP_DAYS)
    with tempfile.TemporaryFile() as plain, tempfile.TemporaryFile() as book:
        _write_both(wanted, saved, records, plain, book)
        return [
            _keep(plain, "csv", wanted, run_id, attempt, expires_at),
            _keep(book, "xlsx", wanted, run_id, attempt, expires_at),
        ]


def ready(run_ids: Sequence[str]) -> dict[str, list[ReportFile]]:
    """The files that can be downloaded, by run."""
    found: dict[str, list[ReportFile]] = {}
    for file in ReportFile.objects.filter(run_id__in=run_ids, size__isnull=False, expires_at__gt=timezone.now()):
        found.setdefault(file.run_id, []).append(file)
    return found


def offered(run_ids: Sequence[str]) -> dict[str, list[Shown]]:
    """`ready` as JSON."""
    return {run_id: [shown(file) for file in made] for run_id, made in ready(run_ids).items()}


def shown(file: ReportFile) -> Shown:
    """A file, as JSON."""
    return {
        "kind": file.kind,
        "filename": file.filename,
        "size": file.size,
        "expires_at": file.expires_at.isoformat(timespec="seconds"),
    }


def prune(older_than: timedelta) -> int:
    """Delete files that have expired, and what runs had saved before `older_than` ago; returns how many files."""
    now = timezone.now()
    count = 0
    for file in ReportFile.objects.filter(expires_at__lt=now):
        try:
            storage().delete(file.name)
        except Exception:  # whatever a storage raises: the row stays, and it is tried again tomorrow
            logger.exception("The file %s could not be deleted.", file)
            continue
        file.delete()
        count += 1
    SavedReport.objects.filter(saved_at__lt=now - older_than).delete()
    return count


def _write_both(wanted: Wanted, saved: set[Key], records: int, plain: IO[bytes], book: IO[bytes]) -> None:
    text = io.TextIOWrapper(plain, encoding="utf-8-sig", newline="")  # with its mark: Excel takes it for UTF-8
    lines = csv.writer(text)
    lines.writerow(HEADER)
    with Workbook(book, HEADER, WIDTHS) as sheet:
        progress.set(current=0, total=records, unit="rows", message="Writing the files")
        for count, row in enumerate(_rows(wanted, saved), 1):
            seller_id, day, *texts, units, revenue, views = row
            money = _money(revenue)
            lines.writerow([safe(seller_id), day, *map(safe, texts), units, money, views])
            sheet.write([seller_id, day, *texts, units, money, views])
            if count % STRIDE == 0:
                progress.set(current=count)
    progress.set(current=records)
    text.flush()
    text.detach()


def _rows(wanted: Wanted, saved: set[Key]) -> Iterator[Line]:
    """In the order of the columns, seller by seller, day by day."""
    views = Traffic.objects.filter(
        seller_id=OuterRef("seller_id"), day=OuterRef("day"), product_id=OuterRef("product_id")
    )
    columns = ("seller_id", "day", "product_name", "store_name", "brand_name", "venture", "product_id")
    for seller_id in wanted.sellers:
        found = Sales.objects.filter(seller_id=seller_id, day__range=(wanted.start, wanted.end))
        found = found.order_by("day", "product_id").annotate(views=Subquery(views.values("pageviews")[:1]))
        # A row of a day that this run could not fetch is from an earlier run: it is not what was asked for.
        for row in found.values_list(*columns, "units", "revenue", "views").iterator(chunk_size=STRIDE):
            if row[:2] in saved:
                yield row


def _money(amount: Decimal) -> Decimal:
    """With two decimals, or more where there are more."""
    short = amount.quantize(Decimal("0.01"))
    return short if short == amount else amount.normalize()


def _keep(content: IO[bytes], kind: str, wanted: Wanted, run_id: str, attempt: int, expires_at: datetime) -> ReportFile:
    """Store a file, its row first: a process that dies in between leaves nothing that is not known."""
    file = ReportFile(run_id=run_id, kind=kind, filename=f"{wanted.title}.{kind}", expires_at=expires_at)
    file.name = f"{run_id}-{attempt}-{file.filename}"
    with fenced():
        ReportFile.objects.filter(name=file.name).delete()
        file.save()
    content.seek(0)
    storage().delete(file.name)
    stored = storage().save(file.name, File(content, file.name))
    content.seek(0, io.SEEK_END)
    file.name, file.size = stored, content.tell()
    with fenced():
        file.save()
    return file
