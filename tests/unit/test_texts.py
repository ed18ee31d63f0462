"""What pages say of a task, in every state: nothing that was not told. Its twin: `live/test_part_texts.py`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from progress.messages import TaskState
from progress.texts import path, said_percent, said_silence, said_state, said_tries

from .text_cases import CASES, SILENCES, TIMES


@pytest.mark.parametrize("name", CASES)
def test_a_task_is_told_by_what_is_known_of_it(name):
    task, expected = CASES[name]
    told = path(task)
    times = {of: None if at is None else at.isoformat() for of, at in told.items()}
    said = {"state": said_state(task), "percent": said_percent(task).replace("\u00a0", " "), "tries": said_tries(task)}
    assert {**said, "path": times} == expected


@pytest.mark.parametrize("name", CASES)
def test_no_path_has_a_hole_before_what_has_begun(name):
    task, _ = CASES[name]
    told = path(task)
    if told["started"]:
        assert told["accepted"] and told["queued"], "it is started, so it was queued"


def test_a_task_of_which_nothing_is_known_says_nothing():
    nothing: TaskState = {}
    assert (said_state(nothing), said_percent(nothing), said_tries(nothing)) == ("PENDING", "", "")
    assert set(path(nothing).values()) == {None}
    assert len(TIMES) == 6


@pytest.mark.parametrize("name", SILENCES)
def test_silence_is_told_from_its_bound_on(name):
    task: Any = SILENCES[name][0]
    now = datetime(2026, 1, 1, 12, 10, tzinfo=UTC)
    assert said_silence(task, now).replace("\u00a0", " ") == SILENCES[name][1]
