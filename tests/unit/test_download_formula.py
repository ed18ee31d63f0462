"""No cell of a CSV becomes a formula, whatever a spreadsheet separates, skips and takes for a sign."""

from __future__ import annotations

import csv
import io
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.downloads.formula import is_formula, safe

SIGNS = ["=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "﹢", "﹣", "﹫", "⁼", "⁺", "\u2212", "\u2010", "\u2011"]
BEFORE = [
    *("", " ", "\t", "\r", "\n", "\x00", "\x0b", "\x1f", "\x7f", "\x85", "\xa0", "\xad"),
    *("\u200b", "\u200c", "\u200d", "\u200e", "\u2060", "\u2028", "\u3000", "\ufeff", "\ufe0f", "\u034f", "\U000e0020"),
    *('"', '""', ' " ', "\u200b \t"),
]
SEPARATORS = [",", ";", "\t", "|", "\r", "\n", "\x85", "\u2028"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", BEFORE)
def test_a_formula_is_known_whatever_stands_before_it(before, sign):
    assert is_formula(f"{before}{sign}1+1")
    assert not is_formula(safe(f"{before}{sign}1+1"))


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_formula_is_known_in_every_cell_that_a_locale_makes_of_a_text(separator, sign):
    for before in BEFORE:
        pieces = safe(f"Lamp{separator}{before}{sign}1+1").split(separator)
        assert not any(is_formula(piece) for piece in pieces), before


@pytest.mark.parametrize("text", ["", "Lamp", "größer", "a = b", "3-4", "a;b", "P-001", "\u200b", "有限", "x@y"])
def test_what_is_no_formula_stays_as_it_is(text):
    assert safe(text) == text


@given(st.text(st.sampled_from([*SIGNS, *"\"a1;,\t| \n'", "\u200b", "\ufeff"]), max_size=12))
@example(';"=1+1;')
def test_no_reader_of_the_file_finds_a_formula(text):
    """Read by each separator, the quotes of the other dialect and all."""
    file = io.StringIO(newline="")
    csv.writer(file).writerow(["S1", "2026-01-01", safe(text), 5])
    for separator in ",;\t|":
        for row in csv.reader(io.StringIO(file.getvalue(), newline=""), delimiter=separator):
            for cell in row:
                seen = "".join(one for one in cell if unicodedata.category(one)[0] not in "CZM")
                assert unicodedata.normalize("NFKC", seen.lstrip('"'))[:1] not in tuple("=+-@"), (text, separator)
