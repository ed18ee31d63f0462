"""Texts that no spreadsheet takes for a formula. https://owasp.org/www-community/attacks/CSV_Injection"""

from __future__ import annotations

import re
import unicodedata

#: A cell that begins with one of these is evaluated, also where it is written in full width.
FORMULA = frozenset("=+-@\N{MINUS SIGN}\N{HYPHEN}\N{NON-BREAKING HYPHEN}")
#: What separates the cells of a CSV, somewhere: which of these does is a matter of the reader's locale.
SEPARATORS = re.compile("([,;|\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029])")


def is_formula(cell: str) -> bool:
    """True if a spreadsheet may take `cell` for a formula, whatever of its beginning it does not see or takes away."""
    for character in cell:
        # Controls, spaces, marks and what has no width; and quotes, which the reader of a CSV takes away.
        if character not in '"\N{FULLWIDTH QUOTATION MARK}' and unicodedata.category(character)[0] not in "CZM":
            return not FORMULA.isdisjoint(unicodedata.normalize("NFKC", character)[:1])
    return False


def safe(text: str) -> str:
    """`text` for a CSV, in which no piece between separators is a formula: an apostrophe comes before each."""
    if FORMULA.isdisjoint(text) and text.isascii():
        return text
    pieces = SEPARATORS.split(text)
    return "".join(f"'{piece}" if is_formula(piece) else piece for piece in pieces)
