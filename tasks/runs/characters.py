"""Which characters a name may have: those of every script, with what joins them, and none that hides or turns text."""

from __future__ import annotations

import unicodedata

#: Invisible, and part of how names are written: the joiners of Persian, Indic scripts and emoji (U+200C, U+200D), the
#: marks of direction that a keyboard adds (U+200E, U+200F, U+061C), and the letters of flags such as Scotland's.
JOINERS = frozenset({"\u200c", "\u200d", "\u200e", "\u200f", "\u061c", *map(chr, range(0xE0020, 0xE0080))})
#: Of Unicode's categories those that show nothing: control, format, private use, half a character, separators.
UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


def can_be_shown(name: str) -> bool:
    """False where a character would be a box, invisible, or turn the text around it (U+202E)."""
    return all(_category(one) not in UNSEEN or one in JOINERS for one in name)


def is_seen(one: str) -> bool:
    """True for a character that leaves ink on the page by itself."""
    return _category(one) not in UNSEEN and not _category(one).startswith(("M", "Z"))


def _category(one: str) -> str:
    """Unassigned is no reason: the emoji of next year are. What never will be a character counts as control."""
    if ord(one) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(one) <= 0xFDEF:
        return "Cc"
    return unicodedata.category(one)
