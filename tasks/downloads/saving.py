"""Saves reports: many rows with one statement, and what a run has saved with them, or nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeAlias, TypedDict, cast

from django.db import connection, models
from django.db.models import Count, Q, Sum
from django.utils import timezone

from tasks.runs.fence import fenced

from .models import Sales, SavedReport, Traffic
from .report import Report

#: Rows that are saved together, and seconds that the first of them waits at most. A transaction for each report costs
#: more than its rows; a longer one would hold up SQLite's other writers, and a kill would lose more.
BATCH_ROWS = 2_000
BATCH_SECONDS = 0.25
#: Rows that one run's history is copied in.
SLICE = 2_000

Key = tuple[str, date]
#: A value of a column.
Cell: TypeAlias = str | int | Decimal | date | None


class Saver:
    """Collects the reports of run `run_id` and saves them together. Raises `progress.Cancelled` in a stale attempt."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._reports: dict[Key, Report] = {}
        self._rows = 0
        self._since = 0.0

    def add(self, seller_id: str, day: date, report: Report) -> None:
        """Save `report` soon."""
        if not self._reports:
            self._since = time.monotonic()
        self._reports[seller_id, day] = report
        self._rows += len(report.rows)

    @property
    def due(self) -> bool:
        """True if `flush` should be called now."""
        if not self._reports:
            return False
        return self._rows >= BATCH_ROWS or time.monotonic() - self._since > BATCH_SECONDS

    def flush(self) -> set[Key]:
        """Save what was added; returns which reports."""
        if self._reports:
            save(self._run_id, self._reports)
        done = set(self._reports)
        self._reports, self._rows = {}, 0
        return done


def save(run_id: str, reports: dict[Key, Report]) -> None:
    """Save these reports and that `run_id` has them. Saved before, they are replaced."""
    now = timezone.now()
    # In the order of the keys: two runs with the same rows lock them in the same order.
    ordered = sorted(reports.items())
    rows = [(*key, *row) for key, report in ordered for row in sorted(report.rows)]
    with fenced():
        upsert(Sales, SALES, [row[:9] for row in rows])
        upsert(Traffic, TRAFFIC, [(*row[:3], row[9]) for row in rows])
        _forget_gone(reports)
        upsert(
            SavedReport,
            ("run_id", "seller_id", "day", "rows", "bad_rows", "saved_at"),
            [(run_id, *key, len(report.rows), report.bad_rows, now) for key, report in ordered],
        )


SALES = (
    *("seller_id", "day", "product_id", "product_name", "store_name", "brand_name", "venture"),
    *("units", "revenue"),
)
TRAFFIC = ("seller_id", "day", "product_id", "pageviews")


def upsert(model: type[models.Model], names: Sequence[str], rows: Sequence[tuple[Cell, ...]]) -> None:
    """Insert `rows` of the columns `names`; where the first three are there already, update the others.

    What `bulk_create(update_conflicts=True)` does, at an eighth of its price: no object is made for a row.
    """
    if not rows:
        return
    ops = connection.ops
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    columns = [ops.quote_name(field.column) for field in fields]
    adapt = [_adapter(field) for field in fields]
    sql = (
        f"INSERT INTO {ops.quote_name(model._meta.db_table)} ({', '.join(columns)}) "
        f"VALUES ({', '.join(['%s'] * len(columns))}) ON CONFLICT ({', '.join(columns[:3])}) "
        f"DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in columns[3:])}"
    )
    prepared = [
        tuple(value if change is None else change(value) for value, change in zip(row, adapt, strict=True))
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(sql, prepared)


def _adapter(field: object) -> Callable[..., Cell] | None:
    """How a value of `field` is handed to the database; None for as it is."""
    if isinstance(field, models.DateTimeField):
        return connection.ops.adapt_datetimefield_value
    if isinstance(field, models.DateField):
        return connection.ops.adapt_datefield_value
    if isinstance(field, models.DecimalField):
        return lambda value: connection.ops.adapt_decimalfield_value(value, field.max_digits, field.decimal_places)
    return None


def _forget_gone(reports: dict[Key, Report]) -> None:
    """Delete products that an earlier report of the same day had and this one has not: the source took them back.

    Not where rows were bad: one of those may be such a product.
    """
    here = Q(seller_id__in={seller for seller, _ in reports}, day__in={day for _, day in reports})
    counts = Sales.objects.filter(here).values_list("seller_id", "day").annotate(count=Count("pk")).order_by()
    for seller_id, day, count in counts:
        report = reports.get((seller_id, day))
        if report is None or report.bad_rows or count <= len(report.rows):
            continue
        known = {row.product_id for row in report.rows}
        for model in (Sales, Traffic):
            held = model._default_manager.filter(seller_id=seller_id, day=day)
            gone = [pk for pk, product_id in held.values_list("pk", "product_id") if product_id not in known]
            for at in range(0, len(gone), SLICE):
                model._default_manager.filter(pk__in=gone[at : at + SLICE]).delete()


def take_over(run_id: str, earlier: str, wanted: Iterable[Key]) -> None:
    """What the run `earlier` has saved of `wanted` counts as saved by `run_id` too."""
    keys = set(wanted)
    copies = [
        (run_id, row.seller_id, row.day, row.rows, row.bad_rows, row.saved_at)
        for row in SavedReport.objects.filter(run_id=earlier).iterator()
        if (row.seller_id, row.day) in keys
    ]
    for at in range(0, len(copies), SLICE):
        with fenced():
            upsert(
                SavedReport,
                ("run_id", "seller_id", "day", "rows", "bad_rows", "saved_at"),
                copies[at : at + SLICE],
            )


def saved_by(run_id: str) -> set[Key]:
    """The reports that the run has saved."""
    return set(SavedReport.objects.filter(run_id=run_id).values_list("seller_id", "day").iterator())


class Totals(TypedDict):
    """What a run has saved: rows, those that could not be read, and reports with and without rows."""

    records: int
    bad_rows: int
    days_done: int
    days_empty: int


def totals(run_id: str) -> Totals:
    """Of all that the run has saved: `records`, `bad_rows`, `days_done` and `days_empty`."""
    found = SavedReport.objects.filter(run_id=run_id).aggregate(
        records=Sum("rows", default=0),
        bad_rows=Sum("bad_rows", default=0),
        days_done=Count("pk", filter=Q(rows__gt=0)),
        days_empty=Count("pk", filter=Q(rows=0)),
    )
    return cast(Totals, {name: int(value) for name, value in found.items()})
