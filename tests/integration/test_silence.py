"""A running task that tells nothing new is named: on pages, by a filter, a metric and the doctor. No state moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app, shared_task
from django.contrib.auth import get_user_model
from django.test import Client

from django_starter.doctor import work
from django_starter.metrics import of_both
from progress.messages import dumps
from progress.record import get_record
from tasks import runs
from tasks.celery.task import TrackedTask
from tasks.models import State, TaskRun
from tasks.runs import silence
from tasks.runs.search import Filter
from tasks.tasks import demo_task
from tests.waiting import wait_until

from .in_process import Here, here  # noqa: F401

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]

SAID = "no news for 4\u00a0min; last: row 612"


def running(*, ago: float | None = 250.0, attempt: int = 1, **changed: Any) -> str:
    """A run whose task has told its last word this many seconds ago."""
    run = runs.claim(demo_task.delay().id, "w1")
    assert run is not None
    at = None if ago is None else (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    told = {"state": "STARTED", "attempt": attempt, "message": "row 612", "advanced_at": at, "quiet_after": 60.0}
    get_record().publish(run.pk, attempt, dumps({**told, **changed}), [], final=False)
    return run.pk


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_user("sarah", is_staff=True))
    return client


@pytest.fixture
def kinds() -> dict[str, str]:
    kinds = {
        "silent": running(),
        "talks": running(ago=10.0),
        "never told anything": running(ago=None),
        "is not asked": running(quiet_after=None),
        "of an attempt before": running(attempt=1),
        "has ended": running(),
        "no record": demo_task.delay().id,
    }
    TaskRun.objects.filter(pk=kinds["of an attempt before"]).update(attempt=2)
    runs.end(kinds["has ended"], "SUCCESS", attempt=1)
    runs.claim(kinds["no record"], "w1")
    return kinds


def test_who_runs_and_tells_nothing_is_silent_and_nobody_else(kinds):
    assert [one.run_id for one in silence.silent()] == [kinds["silent"]]
    assert 249 < silence.silent()[0].seconds < 300
    assert list(Filter(quiet="1").find().values_list("pk", flat=True)) == [kinds["silent"]]
    states = set(TaskRun.objects.exclude(pk=kinds["has ended"]).values_list("state", flat=True))
    assert states == {State.STARTED}, "suspicion moves no state"


def test_of_very_many_those_that_began_first_are_looked_at_in_slices(monkeypatch):
    ids = [running() for _ in range(7)]
    monkeypatch.setattr(silence, "SLICE", 2)
    assert [one.run_id for one in silence.silent()] == ids
    monkeypatch.setattr(silence, "MOST", 3)
    assert [one.run_id for one in silence.silent()] == ids[:3]


def test_the_pages_say_since_when_and_what_was_last(kinds, staff):
    TaskRun.objects.update(owner=get_user_model().objects.get(username="sarah"))
    for path in ("/", f"/tasks/{kinds['silent']}/", "/runs/", "/runs/?quiet=1"):
        page = staff.get(path).content.decode()
        assert SAID in page, path
        assert page.count("no news for") == (2 if path.startswith("/tasks/") else 1) or SAID in page
    assert "no news for" not in staff.get(f"/tasks/{kinds['talks']}/").content.decode()


def test_the_list_can_be_narrowed_to_the_silent(kinds, staff):
    page = staff.get("/runs/?quiet=1").content.decode()
    assert page.count('<tr data-run="') == 1
    assert kinds["silent"] in page
    assert 'name="quiet"' in page


def test_without_redis_nobody_is_called_silent_and_the_page_says_why(kinds, staff, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise ConnectionError("Redis is away")

    monkeypatch.setattr(type(get_record()), "read_many", away)
    with pytest.raises(silence.CannotSay):
        silence.silent()
    page = staff.get("/runs/?quiet=1")
    assert page.status_code == 200
    assert "nobody can say which tasks are silent" in page.content.decode()
    answer = staff.post("/runs/?quiet=1", {"action": "cancel", "all": "1"}, follow=True)
    assert answer.status_code == 200
    assert TaskRun.objects.filter(cancel_requested_at__isnull=False).count() == 0


def test_what_is_done_to_all_that_match_is_done_to_the_silent_alone(kinds, staff):
    page = staff.post("/runs/?quiet=1", {"action": "cancel", "all": "1"}).content.decode()
    assert "Cancel 1 run?" in page


def test_a_metric_counts_them(kinds):
    (family,) = of_both()
    assert [(one.name, one.value) for one in family.samples] == [("tasks_silent", 1.0)]


class Passed:
    def passed(self, name: str) -> bool:
        return True


def test_the_doctor_counts_them(kinds, monkeypatch):
    from tasks.runs.beats import Worker
    from tasks.runs.waiting import Pulse

    worker = Worker("w1", "w1@here", queues=["celery", "reports"], concurrency=1)
    monkeypatch.setattr(work, "engines", list)
    monkeypatch.setattr(work, "pulse", lambda: Pulse(True, [worker]))
    context: Any = Passed()
    found = work.workers(context)
    assert found.status == "warning"
    assert "1 running task tells nothing" in found.detail
    assert kinds["silent"] in found.detail
    get_record().publish(kinds["silent"], 1, dumps({"state": "STARTED", "attempt": 1}), [], final=False)
    assert work.workers(context).status == "ok"


def told(run_id: str) -> Any:
    return wait_until(lambda: get_record().read(run_id).changing, 5, "it is told")


def test_a_task_says_for_itself_when_it_is_silent(here: Here):  # noqa: F811
    options: Any = {"quiet_after": 3600}

    @shared_task(name="tests.seldom", **options)
    def seldom() -> None:
        import progress

        progress.set(1)

    options = {"quiet_after": None}

    @shared_task(name="tests.never", **options)
    def never() -> None:
        pass

    for task, bound in ((seldom, 3600), (never, None), (demo_task, 60.0)):
        run_id = task.delay().id
        here.work()
        assert told(run_id)["quiet_after"] == bound


@pytest.mark.parametrize("name", ["quiet_after", "stalled_after"])
@pytest.mark.parametrize("value", [0, -1, "60", True, float("nan"), float("inf"), timedelta(seconds=1), []])
def test_a_bound_that_is_none_is_refused_where_the_task_is_defined(name, value):
    bad: Any = type("Bad", (TrackedTask,), {"name": "tests.bad", name: value})
    with pytest.raises(ValueError, match=f"tests.bad: {name} must be seconds"):
        bad.bind(current_app)
    good: Any = type("Good", (TrackedTask,), {"name": "tests.good", name: 0.5})
    good.bind(current_app)


def test_a_checkpoint_is_an_advance(here: Here):  # noqa: F811
    from tasks.resume import checkpoint

    @shared_task(name="tests.keeps")
    def keeps() -> Any:
        from progress.active import current

        checkpoint.save(1)
        reporter = current()
        assert reporter is not None
        assert isinstance(reporter.book, object)
        reporter.book.flush()  # type: ignore[union-attr]
        before = reporter._checkpoints
        checkpoint.save(1)
        reporter.book.flush()  # type: ignore[union-attr]
        return [before, reporter._checkpoints]

    run_id = keeps.delay().id
    here.work()
    assert here.run(run_id).result == [1, 1], "one that says the same is none"
