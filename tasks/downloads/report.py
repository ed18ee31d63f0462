"""One report: CSV with a header line, read row by row, each row checked."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

COLUMNS = (
    *("Day", "Product Name", "Store Name", "Brand Name", "Venture", "Product ID"),
    *("Units Sold", "Revenue", "Product/SKU Pageviews"),
)
#: Characters of a name and of a product id; as wide as their columns in the tables.
MAX_NAME, MAX_ID = 300, 100
#: Rows of one report. It is held in memory until it is saved as a whole; a real one has some hundred.
MAX_ROWS = 50_000
#: Bad rows of one report that are described; the others are only counted.
MAX_DESCRIBED = 5

#: What no cell may hold: control characters (a spreadsheet could take one for the begin of a formula), and what XML
#: does not allow.
FORBIDDEN = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")
#: As wide as the tables' columns. Not `Decimal(text)`, which also takes NaN, 1e9 and digits of every script.
UNITS = re.compile(r"-?[0-9]{1,9}")
VIEWS = re.compile(r"[0-9]{1,9}")
REVENUE = re.compile(r"-?[0-9]{1,11}(\.[0-9]{1,4})?")


class BadReport(Exception):
    """The answer is no report; the message says why, in one sentence."""


class BadRow(ValueError):
    """A row that is left out; the message says why."""


class Row(NamedTuple):
    """The figures of one product."""

    product_id: str
    product_name: str
    store_name: str
    brand_name: str
    venture: str
    units: int
    revenue: Decimal
    pageviews: int


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one seller on one day, and how many rows could not be read."""

    rows: list[Row]
    bad_rows: int


def read(chunks: Iterable[bytes], day: date, on_bad_row: Callable[[str], None]) -> Report:
    """Read a report from the pieces of its body, as they come.

    `on_bad_row` is given a sentence for each of the first bad rows. Raises `BadReport` when it is no report at all.
    """
    lines = csv.reader(_lines(chunks), strict=True)
    rows: dict[str, Row] = {}
    bad = 0
    try:
        places = _places(next(lines, []))
        for cells in lines:
            if not cells:
                continue  # an empty line
            try:
                row = _row(cells, places, day.isoformat())
                if row.product_id in rows:
                    raise BadRow(f"product {row.product_id} stands twice")
                rows[row.product_id] = row
            except BadRow as error:
                bad += 1
                if bad <= MAX_DESCRIBED:
                    on_bad_row(f"line {lines.line_num}: {error}")
            if len(rows) + bad > MAX_ROWS:
                raise BadReport(f"It has more than {MAX_ROWS:,} rows.")
    except UnicodeDecodeError:
        raise BadReport("It is not UTF-8.") from None
    except csv.Error as error:
        raise BadReport(f"It is not CSV: line {lines.line_num}: {error}.") from None
    if bad > MAX_DESCRIBED:
        on_bad_row(f"and {bad - MAX_DESCRIBED:,} more bad rows")
    if bad and not rows:
        raise BadReport(f"None of its {bad:,} rows can be read.")
    return Report(list(rows.values()), bad)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    # Not `str.splitlines`: it also cuts at characters that may be part of a product's name (U+2028, U+0085).
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    parts: list[str] = []  # of the line that has not ended; joined once, however many there are
    for chunk in chunks:
        *ends, begin = decode(chunk).split("\n")
        for end in ends:
            yield "".join([*parts, end, "\n"])
            parts.clear()
        parts.append(begin)
    yield "".join([*parts, decode(b"", True)])


def _places(header: list[str]) -> tuple[int, ...]:
    names = [name.strip() for name in header]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        begins = ",".join(names)[:60]
        raise BadReport(f"These columns are missing: {', '.join(missing)}. It begins with {begins!r}.")
    return tuple(names.index(name) for name in COLUMNS)


def _row(cells: list[str], places: tuple[int, ...], day: str) -> Row:
    try:
        told, name, store, brand, venture, product_id, units, revenue, views = [cells[at].strip() for at in places]
    except IndexError:
        raise BadRow(f"it has {len(cells)} cells") from None
    if told != day:
        raise BadRow(f"Day must be {day}, but is {told[:40]!r}")
    if not product_id or len(product_id) > MAX_ID:
        raise BadRow(f"Product ID must have 1 to {MAX_ID} characters, but has {len(product_id):,}")
    texts = (product_id, name, store, brand, venture)
    if max(map(len, texts)) > MAX_NAME:
        raise BadRow(f"a name has more than {MAX_NAME} characters")
    if FORBIDDEN.search("".join(texts)):
        raise BadRow("a name has a control character")
    if not UNITS.fullmatch(units):
        raise BadRow(f"Units Sold must be a whole number, but is {units[:40]!r}")
    if not REVENUE.fullmatch(revenue):
        raise BadRow(f"Revenue must be a number with up to 4 decimals, but is {revenue[:40]!r}")
    if not VIEWS.fullmatch(views):
        raise BadRow(f"Product/SKU Pageviews must be a whole number from 0, but is {views[:40]!r}")
    return Row(product_id, name, store, brand, venture, int(units), Decimal(revenue), int(views))
