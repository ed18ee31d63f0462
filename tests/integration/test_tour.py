"""The tour does what it promises: a retry, nested steps, a checkpoint, a chord of which one part fails, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from progress.record import get_record
from tasks import runs
from tasks.models import Attempt, State, TaskRun
from tasks.runs.repeating import CHECKPOINT
from tasks.tasks import tour

from .in_process import Here, here  # noqa: F401

pytestmark = pytest.mark.usefixtures("valkey")


def test_the_tour_shows_all_that_a_page_tells(here: Here, monkeypatch):  # noqa: F811
    orders: list[float] = []
    dies = False

    def sleep(seconds: float) -> None:
        orders.append(seconds)
        if dies and seconds == 0.02 and orders.count(0.02) == 40:
            raise RuntimeError("the power is gone")

    monkeypatch.setattr("tasks.jobs.tour.time", SimpleNamespace(sleep=sleep))
    started: Any = tour
    run = here.run(started.delay(seconds=2).id)
    here.work()
    run.refresh_from_db()
    assert (run.state, run.attempt, run.tries) == (State.SUCCESS, 2, 2)
    assert [(one.how, (one.error or {})["type"]) for one in Attempt.objects.filter(run=run)] == [("retried", "Away")]
    assert run.result == {"orders": 100, "in_this_attempt": 100}
    steps = [(step["name"], step["depth"]) for step in get_record().read(run.pk).changing["steps"]]
    assert steps == [("Fetch", 0), ("Page 1", 1), ("Page 2", 1), ("Page 3", 1), ("Import", 0)]

    parts = TaskRun.objects.filter(parent_id=run.pk, name="tasks.tasks.tour_part").order_by("message")
    assert [one.state for one in parts] == [State.SUCCESS, State.SUCCESS, State.FAILURE, State.SUCCESS]
    body = TaskRun.objects.get(name="tasks.tasks.tour_end")
    assert (body.state, body.parent_id) == (State.FAILURE, run.pk)
    (failed,) = (one for one in parts if one.state == State.FAILURE)
    again = runs.again(failed)
    here.work()
    assert here.run(again.pk).state == State.SUCCESS

    orders.clear()
    dies = True
    broken = here.run(started.delay(seconds=2).id)
    here.work()
    broken.refresh_from_db()
    assert (broken.state, (broken.error or {})["message"]) == (State.FAILURE, "the power is gone")
    goes_on = runs.again(broken, begin=CHECKPOINT)
    here.work()
    assert here.run(goes_on.pk).result == {"orders": 100, "in_this_attempt": 61}
