"""What is true of a task: the stored state, with the numbers of its worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from progress.state import is_older, is_untold, merge, telling

STORED: Any = {"id": "t", "state": "STARTED", "attempt": 2, "current": None, "message": ""}


def test_the_workers_numbers_are_shown_over_the_row():
    merged = merge(STORED, {"state": "STARTED", "attempt": 2, "current": 5})
    assert (merged["id"], merged["current"]) == ("t", 5)


@pytest.mark.parametrize("changing", [None, {}, {"state": "STARTED", "attempt": 1, "current": 5}])
def test_nothing_and_numbers_of_an_earlier_attempt_change_nothing(changing):
    assert merge(STORED, changing) == STORED


def test_a_recorded_end_wins_over_a_record_that_did_not_hear_of_it_and_keeps_the_last_numbers():
    ended: Any = STORED | {"state": "FAILURE"}
    merged = merge(ended, {"state": "STARTED", "attempt": 2, "current": 5, "step": "Save"})
    assert (merged["state"], merged["current"], "step" in merged) == ("FAILURE", 5, False)


@pytest.mark.parametrize("told", ["SUCCESS", "FAILURE", "REVOKED"])
@pytest.mark.parametrize("recorded", ["SUCCESS", "FAILURE", "REVOKED"])
@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_recorded_end_wins_over_whatever_the_record_says_of_an_end(recorded, told, attempt):
    error = {"type": "WorkerLost", "message": "recorded"}
    ended: Any = STORED | {"state": recorded, "result": None, "error": error}
    merged = merge(ended, {"state": told, "attempt": attempt, "result": 5, "error": None, "current": 5})
    assert (merged["state"], merged["attempt"], merged["result"], merged["error"]) == (recorded, 2, None, error)
    assert merge(ended, {"state": "STARTED", "attempt": 3})["state"] == recorded


def test_an_attempt_that_is_over_shows_no_numbers_of_its_own():
    waiting: Any = STORED | {"state": "RETRY"}
    assert merge(waiting, {"state": "STARTED", "attempt": 2, "current": 5}) == waiting


def test_a_cancel_that_either_side_knows_of_is_shown():
    assert merge(STORED | {"cancel_requested": True}, {"state": "STARTED", "attempt": 2})["cancel_requested"] is True
    assert merge(STORED, {"state": "STARTED", "attempt": 2, "cancel_requested": True})["cancel_requested"] is True


def test_two_states_that_viewers_would_tell_apart_differ_in_what_is_told():
    assert telling(STORED) == telling(STORED | {"current": 9})
    assert telling(STORED) != telling(STORED | {"attempt": 3})
    assert telling(STORED) != telling(STORED | {"waiting": {"reason": "queued", "position": 3}})


@pytest.mark.parametrize(("seconds", "untold"), [(0.1, True), (60, False)])
def test_the_last_word_is_waited_for_only_just_after_the_end(seconds, untold):
    at = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    stored: Any = {"state": "SUCCESS", "started_at": at, "finished_at": at}
    assert is_untold(stored, {"state": "STARTED"}) is untold
    assert not is_untold(stored, {"state": "SUCCESS"})
    assert not is_untold(stored | {"started_at": None}, {"state": "PENDING"})


def test_only_states_of_one_attempt_are_older_or_newer():
    assert is_older({"attempt": 1, "ts": 1.0}, {"attempt": 1, "ts": 2.0})
    assert not is_older({"attempt": 1, "ts": 1.0}, {"attempt": 2, "ts": 2.0})
