"""A table as XLSX, written row by row through XlsxWriter: its memory does not grow with its length."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from decimal import Decimal
from tempfile import TemporaryDirectory
from typing import IO

from .formula import is_formula

#: Rows of a sheet, with its header: Excel opens no more. A longer table goes on in a second sheet.
MAX_ROWS = 1_048_576

Cell = str | int | Decimal | date | None


class Workbook:
    """A context manager; `header` is on top of every sheet, `widths` are those of its columns in characters."""

    def __init__(self, file: IO[bytes], header: Sequence[str], widths: Sequence[int]) -> None:
        self._file = file
        self._header = header
        self._widths = widths
        self._row = 0

    def __enter__(self) -> Workbook:
        import xlsxwriter  # here: no other process than one that makes a file pays for it

        with ExitStack() as cleanup:
            # Each sheet is a file in here until the end; a download that is broken off must not leave it behind.
            folder = cleanup.enter_context(TemporaryDirectory(prefix="xlsx-"))
            options = {
                "constant_memory": True,
                "tmpdir": folder,
                "strings_to_formulas": False,  # a product's name is a text, whatever it begins with
                "strings_to_numbers": False,
                "strings_to_urls": False,
            }
            self._book = xlsxwriter.Workbook(self._file, options)
            self._book.use_zip64()
            self._head = self._book.add_format({"bold": True})
            self._date = self._book.add_format({"num_format": 14})
            # Excel keeps a text that looks like a formula a text, also after somebody has edited its cell.
            self._risky = self._book.add_format({"quote_prefix": True})
            self._begin_sheet()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with self._cleanup:
            if kind is None:
                self._book.close()
                return
            self._book.fileclosed = True  # or XlsxWriter warns that nobody closed it
            for sheet in self._book.worksheets():
                sheet.row_data_fh.close()

    def write(self, cells: Sequence[Cell]) -> None:
        """The next row."""
        if self._row == MAX_ROWS:
            self._begin_sheet()
        sheet, row = self._sheet, self._row
        for column, value in enumerate(cells):
            if isinstance(value, str):
                sheet.write_string(row, column, value, self._risky if is_formula(value) else None)
            elif isinstance(value, date):
                sheet.write_datetime(row, column, value, self._date)
            elif value is not None:  # a report may have no figure: the cell stays empty
                sheet.write_number(row, column, value)
        self._row += 1

    def _begin_sheet(self) -> None:
        self._sheet = self._book.add_worksheet()
        self._sheet.freeze_panes(1, 0)
        for column, width in enumerate(self._widths):
            self._sheet.set_column(column, column, width)
        for column, name in enumerate(self._header):
            self._sheet.write_string(0, column, name, self._head)
        self._row = 1
