"""What somebody types into a search, taken apart."""

from __future__ import annotations

import pytest

from tasks.runs.words import Words

TYPED = {
    "needle": ("needle", {}),
    "error:KeyError": ("", {"error": ["KeyError"]}),
    "error:KeyError args:SKU-1": ("", {"error": ["KeyError"], "args": ["SKU-1"]}),
    "args:a args:b": ("", {"args": ["a", "b"]}),
    'args:"two words" queue:mail': ("", {"args": ["two words"], "queue": ["mail"]}),
    "fell down worker:w1": ("fell down", {"worker": ["w1"]}),
    "error:": ("error:", {}),
    "error: KeyError": ("error: KeyError", {}),
    'args:""': ('args:""', {}),
    "http://host:80/error:x": ("http://host:80/error:x", {}),
    "owner:sarah": ("owner:sarah", {}),
    "two  blanks": ("two  blanks", {}),
    "": ("", {}),
}


@pytest.mark.parametrize("typed", TYPED)
def test_a_word_is_looked_for_where_it_says(typed):
    words = Words.of(typed)
    assert (words.text, words.places) == TYPED[typed]
