"""Reading one report: what is a row, what is a bad row, what is no report at all."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.downloads.report import COLUMNS, MAX_DESCRIBED, BadReport, Report, Row, read

DAY = date(2026, 1, 31)
HEADER = ",".join(COLUMNS)
GOOD = "2026-01-31,Lamp,Store,Brand,Venture,P-1,3,12.50,40"


def read_text(text: str, size: int = 7) -> tuple[Report, list[str]]:
    """In pieces of `size` bytes, as a network may cut them."""
    told: list[str] = []
    body = text.encode()
    return read((body[at : at + size] for at in range(0, len(body), size)), DAY, told.append), told


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_row_has_whole_numbers_and_an_exact_revenue(end):
    report, told = read_text(f"{HEADER}\n{GOOD}{end}")
    assert report == Report([Row("P-1", "Lamp", "Store", "Brand", "Venture", 3, Decimal("12.50"), 40)], 0)
    assert told == []


@given(st.integers(1, 200))
def test_a_report_may_be_cut_anywhere(size):
    text = f'\ufeff{HEADER}\r\n2026-01-31,"Lampe ""groß"",\n2 Stück",Störe\u2028,B,V,Ü-1,-3,-0.0001,0\r\n'
    report, _ = read_text(text.replace("\n2 Stück", " 2 Stück"), size)
    assert report.rows == [Row("Ü-1", 'Lampe "groß", 2 Stück', "Störe", "B", "V", -3, Decimal("-0.0001"), 0)]


def test_columns_are_found_by_name_and_others_are_left():
    names = [*reversed(COLUMNS), "Comment"]
    cells = [*reversed(GOOD.split(",")), "x"]
    report, _ = read_text(",".join(names) + "\n" + ",".join(cells))
    assert report.rows[0].revenue == Decimal("12.50")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("2026-01-30,Lamp,S,B,V,P-2,3,1.00,4", "Day must be 2026-01-31, but is '2026-01-30'"),
        ("2026-01-31,Lamp,S,B,V,,3,1.00,4", "Product ID must have 1 to 100 characters"),
        ("2026-01-31,Lamp,S,B,V,P-2,many,1.00,4", "Units Sold must be a whole number, but is 'many'"),
        ("2026-01-31,Lamp,S,B,V,P-2,1.5,1.00,4", "Units Sold must be a whole number"),
        ("2026-01-31,Lamp,S,B,V,P-2,٣,1.00,4", "Units Sold must be a whole number"),
        ("2026-01-31,Lamp,S,B,V,P-2,3,NaN,4", "Revenue must be a number"),
        ("2026-01-31,Lamp,S,B,V,P-2,3,1e9,4", "Revenue must be a number"),
        ("2026-01-31,Lamp,S,B,V,P-2,3,1.23456,4", "with up to 4 decimals"),
        ("2026-01-31,Lamp,S,B,V,P-2,3,1.00,-4", "Pageviews must be a whole number from 0"),
        ("2026-01-31,Lamp,S,B,V,P-1,3,1.00,4", "product P-1 stands twice"),
        ("2026-01-31,Lamp", "it has 2 cells"),
        ('2026-01-31,"Lamp\x07",S,B,V,P-2,3,1.00,4', "a control character"),
        (f"2026-01-31,{'x' * 301},S,B,V,P-2,3,1.00,4", "more than 300 characters"),
    ],
)
def test_a_bad_row_is_counted_and_named_with_its_line_and_the_others_are_kept(row, said):
    report, told = read_text(f"{HEADER}\n{GOOD}\n{row}\n{GOOD.replace('P-1', 'P-9')}\n")
    assert [one.product_id for one in report.rows] == ["P-1", "P-9"]
    assert report.bad_rows == 1
    assert len(told) == 1
    assert told[0].startswith("line 3: ")
    assert said in told[0]


def test_many_bad_rows_are_counted_but_not_all_described():
    report, told = read_text(f"{HEADER}\n{GOOD}\n" + "x\n" * 1_000)
    assert report.bad_rows == 1_000
    assert len(told) == MAX_DESCRIBED + 1
    assert told[-1] == "and 995 more bad rows"


def test_a_header_alone_is_an_empty_day():
    assert read_text(HEADER + "\n")[0] == Report([], 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns are missing: Day"),
        ("<!doctype html>\n<p>Hello", "It begins with '<!doctype html>'"),
        ("Day,Revenue\n2026-01-31,1", "columns are missing: Product Name"),
        (f'{HEADER}\n2026-01-31,"Lamp never ends\n{GOOD}\n', "It is not CSV: line"),
        (f"{HEADER}\nx\ny\n", "None of its 2 rows can be read."),
        (f"{HEADER}\n{'x' * 200_000}", "It is not CSV"),
    ],
)
def test_what_is_no_report_says_why(text, said):
    with pytest.raises(BadReport, match=said.replace("(", r"\(")):
        read_text(text, 60_000)


def test_what_is_not_utf_8_is_no_report():
    with pytest.raises(BadReport, match="not UTF-8"):
        read([f"{HEADER}\n".encode(), GOOD.replace("Lamp", "Größe").encode("latin-1")], DAY, print)
