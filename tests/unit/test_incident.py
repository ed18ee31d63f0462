"""Is something wrong, since when, and after what: figures in, a sentence out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tasks.runs.incident import Span, in_words, percent, share_of, span_text, trouble

BEGIN = datetime(2026, 11, 28, 13, 0, tzinfo=UTC)


def spans(*figures: tuple[int, int]) -> list[Span]:
    """`(ended, failed)` of spans of five minutes, the oldest first."""
    return [Span(BEGIN + timedelta(minutes=5 * n), *both) for n, both in enumerate(figures)]


CALM = [(100, 1)] * 8
#: Spans, what is usual → the minute of 13:00 since which it is, the share in percent; None: all is well.
TABLE = {
    "as usual": (CALM, 0.01, None),
    "a little more": ([*CALM, (100, 2)], 0.015, None),
    "three spans of more": ([*CALM, (100, 30), (100, 40), (100, 50)], 0.01, (40, 40)),
    "more in the newest alone": ([*CALM, (100, 12)], 0.01, (40, 12)),
    "it is over": ([(100, 50), (100, 50), *CALM], 0.01, None),
    "for longer than is known": ([(100, 50)] * 4, 0.01, (0, 50)),
    "too few have ended": ([(0, 0), (4, 4)], 0.0, None),
    "few end, and all of them fail": ([*[(8, 0)] * 5, *[(8, 8)] * 4], 0.0, (25, 100)),
    "two failures are chance": ([*CALM, (20, 2)], 0.01, None),
    "nothing ended": ([(0, 0)] * 5, 0.01, None),
    "no spans": ([], 0.01, None),
    "a pause within it": ([*CALM, (100, 50), (0, 0), (100, 50)], 0.01, (40, 50)),
    "a pause before it": ([(0, 0), (0, 0), (100, 50)], 0.01, (10, 50)),
    "most fail always": ([(100, 60)] * 6, 0.6, None),
    "nothing to compare with": ([(0, 0), (100, 10)], None, (5, 10)),
    "the newest has not ended anything yet": ([*CALM, (100, 50), (0, 0)], 0.01, (40, 50)),
}


@pytest.mark.parametrize("name", TABLE)
def test_trouble_is_found_with_its_beginning(name):
    figures, usual, wanted = TABLE[name]
    found = trouble(spans(*figures), usual)
    assert (found and (found.begin.minute, round(found.share * 100))) == wanted


def test_the_sentence_says_what_is_usual_and_after_which_release():
    found = trouble(spans(*CALM, (100, 12)), 0.004)
    assert found is not None
    since = BEGIN + timedelta(minutes=42)
    released = since - timedelta(minutes=2)
    said = str(in_words(found, since, "a1b2c3d", released))
    assert said == "12 % fail since 13:42 UTC, usual 0.4 %, 2 min after release a1b2c3d."
    long_ago, later = since - timedelta(hours=2), since + timedelta(minutes=1)
    for moment in (long_ago, later, None):
        assert str(in_words(found, since, "a1b2c3d", moment)) == "12 % fail since 13:42 UTC, usual 0.4 %."


def test_without_anything_to_compare_and_for_longer_than_is_known():
    found = trouble(spans((100, 10)), None)
    assert found is not None and found.longer
    assert str(in_words(found, BEGIN)) == "10 % fail since before 13:00 UTC."


def test_a_share_of_few_says_nothing():
    assert share_of(spans((19, 19))) is None
    assert share_of(spans((19, 19), (1, 0))) == 0.95


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.004, "0.4 %"), (0.0996, "10 %"), (0.123, "12 %"), (1, "100 %")]
)
def test_a_share_in_words(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (40, "40 s"), (120, "2 min"), (3 * 3600, "3 h"), (3 * 86400, "3 days")]
)
def test_a_length_in_words(seconds, text):
    assert span_text(timedelta(seconds=seconds)) == text
