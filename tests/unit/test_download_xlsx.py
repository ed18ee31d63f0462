"""XLSX, read back by a library that knows nothing of ours."""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime
from decimal import Decimal

import openpyxl
import pytest

from tasks.downloads import xlsx
from tasks.downloads.formula import safe

RISKY = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x","y")', "=cmd|'/C calc'!A0"]


def written(rows: list[list[xlsx.Cell]], header: tuple[str, ...] = ("Name", "Day", "Revenue")) -> io.BytesIO:
    file = io.BytesIO()
    with xlsx.Workbook(file, header, [10] * len(header)) as book:
        for row in rows:
            book.write(row)
    file.seek(0)
    return file


def test_texts_days_and_numbers_come_back_as_they_were():
    name = ' <Größe> & "2", 😀 '
    sheet = openpyxl.load_workbook(
        written([[name, date(2026, 1, 31), Decimal("12.34")], ["", date(1999, 1, 1), 7]])
    ).active
    assert [cell.value for cell in sheet[1]] == ["Name", "Day", "Revenue"]
    assert [cell.value for cell in sheet[2]] == [name, datetime(2026, 1, 31), 12.34]
    assert sheet["B2"].is_date
    assert [cell.value for cell in sheet[3]][1:] == [datetime(1999, 1, 1), 7]
    assert sheet.freeze_panes == "A2"


@pytest.mark.parametrize("text", RISKY)
def test_no_cell_is_a_formula(text):
    file = written([[text, date(2026, 1, 31), 1]])
    cell = openpyxl.load_workbook(file).active["A2"]
    assert (cell.value, cell.data_type, cell.quotePrefix) == (text, "s", True)
    assert b"<f>" not in zipfile.ZipFile(file).read("xl/worksheets/sheet1.xml")


@pytest.mark.parametrize("text", RISKY)
def test_a_cell_of_a_csv_is_none_either(text):
    assert safe(text) == f"'{text}"


def test_a_long_table_goes_on_in_a_second_sheet(monkeypatch):
    monkeypatch.setattr(xlsx, "MAX_ROWS", 4)
    book = openpyxl.load_workbook(written([[str(number), date(2026, 1, 1), number] for number in range(7)]))
    tables = [[row[0] for row in sheet.iter_rows(values_only=True)] for sheet in book]
    assert tables == [["Name", "0", "1", "2"], ["Name", "3", "4", "5"], ["Name", "6"]]


def test_an_empty_table_is_a_header():
    assert openpyxl.load_workbook(written([])).active.max_row == 1


def test_an_error_while_writing_passes_through():
    with pytest.raises(KeyError), xlsx.Workbook(io.BytesIO(), ("A",), [1]):
        raise KeyError("x")
