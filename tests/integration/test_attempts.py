"""Every attempt that did not end its run is remembered, with the move that ends it, and shown."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import current_app, shared_task
from celery.exceptions import WorkerLostError
from django.contrib.auth import get_user_model
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from progress.active import activate, deactivate
from progress.flusher import Flusher
from progress.messages import dumps
from progress.record import get_record
from progress.reporter import Reporter
from tasks import runs
from tasks.celery.left import by_death
from tasks.models import Attempt, State, TaskRun
from tasks.runs.attempts import MAX_ERROR_SHOWN, MAX_SHOWN, said_code, with_attempts
from tasks.runs.message import MAX_TRACEBACK
from tasks.runs.prune import prune
from tasks.tasks import demo_task

from .in_process import Here, here  # noqa: F401

pytestmark = pytest.mark.django_db


def running(worker: str = "celery@web-1:77:ab12", **values: Any) -> TaskRun:
    pk = demo_task.delay().id
    TaskRun.objects.filter(pk=pk).update(**values)
    run = runs.claim(pk, worker)
    assert run is not None
    return run


def left(run: TaskRun) -> list[Attempt]:
    return list(Attempt.objects.filter(run=run))


ERROR: Any = {"type": "ValueError", "message": "row 12"}
LATER = timedelta(hours=1)

#: Each way in which an attempt is left without its own end: what is done, and what is remembered of it.
WAYS: dict[str, tuple[Callable[[TaskRun], object], str, str]] = {
    "its process died": (lambda run: runs.lost(run.pk, run.worker, send_again=False), "lost", "RETRY"),
    "it asked for a retry": (lambda run: runs.postpone(run.pk, 1, timezone.now() + LATER, {}), "retried", "RETRY"),
    "it stopped at a checkpoint": (lambda run: runs.give_back(run.pk, 1, send_again=False), "given_back", "RETRY"),
    "its worker ended": (lambda run: runs.release(run.worker), "given_back", "RETRY"),
    "another task took its place": (lambda run: runs.set_aside(run.pk, 1), "replaced", "PENDING"),
    "a time limit, or a revoke with terminate": (
        lambda run: runs.end(run.pk, "FAILURE", worker=run.worker, error=ERROR),
        "killed",
        "FAILURE",
    ),
    "it died once too often": (
        lambda run: [
            TaskRun.objects.filter(pk=run.pk).update(max_attempts=1),
            runs.lost(run.pk, run.worker, send_again=False),
        ],
        "lost",
        "FAILURE",
    ),
    "it died of its cancel": (
        lambda run: [runs.cancel(run.pk), runs.lost(run.pk, run.worker, send_again=False)],
        "killed",
        "REVOKED",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_attempt_that_did_not_end_its_run_is_remembered(way):
    leave, how, state = WAYS[way]
    run = running()
    leave(run)
    assert TaskRun.objects.get(pk=run.pk).state == state
    (one,) = left(run)
    assert (one.number, one.how, one.queue) == (1, how, run.queue)
    assert (one.worker, one.host, one.began) == (run.worker, "web-1", run.started_at)
    assert one.began is not None
    assert one.ended >= one.began


#: Those that end their run themselves, or that a person ends before they have begun: nothing to remember.
ENDS: dict[str, Callable[[TaskRun], object]] = {
    "done": lambda run: runs.end(run.pk, "SUCCESS", attempt=1, result=1, alone=runs.is_alone(run)),
    "failed": lambda run: runs.end(run.pk, "FAILURE", attempt=1, error=ERROR),
    "cancelled, and heard it": lambda run: runs.end(run.pk, "REVOKED", attempt=1, error=runs.CANCELLED),
    "asked for a retry when it was to end": lambda run: [
        runs.cancel(run.pk),
        runs.postpone(run.pk, 1, timezone.now(), {}),
    ],
}


@pytest.mark.parametrize("way", ENDS)
def test_one_that_ended_its_run_is_in_the_row_of_that_alone(way):
    run = running()
    ENDS[way](run)
    assert TaskRun.objects.get(pk=run.pk).is_final
    assert left(run) == []


def test_the_common_end_asks_for_nothing_more(django_assert_num_queries):
    run = running()
    with django_assert_num_queries(1):
        runs.end(run.pk, "SUCCESS", attempt=1, result=1, alone=True, quietly=True)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("its worker ended", "it stopped at a checkpoint")])
def test_the_move_and_the_attempt_are_one_transaction(way, monkeypatch):
    """The row of the attempt cannot be written: then the run has not moved either."""

    def refuse(over: Attempt | None) -> None:
        if over is not None:
            raise IntegrityError

    run = running()
    monkeypatch.setattr("tasks.runs.attempts.keep", refuse)
    with pytest.raises(IntegrityError):
        WAYS[way][0](run)
    assert TaskRun.objects.get(pk=run.pk).state == State.STARTED


def test_a_stale_attempt_leaves_nothing():
    run = running()
    runs.lost(run.pk, run.worker, send_again=False)
    again = runs.claim(run.pk, "w2")
    assert again is not None
    assert not runs.postpone(run.pk, 1, timezone.now(), {})
    assert not runs.set_aside(run.pk, 1)
    assert runs.lost(run.pk, run.worker, send_again=False) is None
    assert [one.number for one in left(run)] == [1]


class Deaf:
    def publish(self, *_, **__):
        raise ConnectionError

    def poll(self, *_):
        raise ConnectionError


def test_the_last_numbers_and_where_it_resumed_are_kept():
    run = running()
    reporter = Reporter(run.pk, 1, Deaf(), Flusher())
    reporter.resume({"current": 10, "total": 40, "percent": 25.0, "unit": "row"})
    reporter.current, reporter.total, reporter.unit, reporter.message = 30, 40, "row", "half of them \x00"
    token = activate(reporter)
    try:
        runs.postpone(run.pk, 1, timezone.now() + LATER, {}, runs.Left(Attempt.How.RETRIED, ERROR, "Traceback …"))
    finally:
        deactivate(token)
    (one,) = left(run)
    assert one.resumed_from == {"current": 10, "total": 40, "percent": 25.0, "unit": "row"}
    assert (one.numbers["current"], one.numbers["percent"]) == (30, 75.0)
    assert "\x00" not in one.numbers["message"]
    assert (one.error, one.traceback) == (ERROR, "Traceback …")


def test_what_is_kept_of_an_error_can_be_stored_and_its_traceback_ends_where_it_was_raised():
    run = running()
    error: Any = {"type": "ValueError", "message": "half \ud800 and \x00"}
    left_so = runs.Left(Attempt.How.LOST, error, "x" * MAX_TRACEBACK + "raised here \x00")
    runs.lost(run.pk, run.worker, send_again=False, left=left_so)
    (one,) = left(run)
    assert one.error is not None
    assert "\x00" not in one.error["message"]
    assert "\ud800" not in one.error["message"]
    assert one.traceback.startswith("x")
    assert one.traceback[:-1].endswith("raised here ")
    assert len(one.traceback) == MAX_TRACEBACK


def test_what_was_told_of_an_attempt_before_stays():
    run = running()
    Attempt.objects.create(run=run, number=1, how="hung", ended=timezone.now(), traceback="where it hung")
    runs.lost(run.pk, run.worker, send_again=False)
    assert TaskRun.objects.get(pk=run.pk).state == State.RETRY
    assert [(one.how, one.traceback) for one in left(run)] == [("hung", "where it hung")]


#: Who has told numbers: (the attempt ahead of the one that tells, is it the same run, by the record in Redis?)
TELLERS = {
    "itself, here": (0, True, False),
    "another attempt, here": (1, True, False),
    "another run, here": (0, False, False),
    "itself, elsewhere": (0, True, True),
    "another attempt, elsewhere": (1, True, True),
}


@pytest.mark.parametrize("who", TELLERS)
@pytest.mark.usefixtures("valkey")
def test_the_numbers_of_an_attempt_are_its_own(who):
    ahead, same, by_redis = TELLERS[who]
    run = running()
    told_id = run.pk if same else demo_task.delay().id
    if ahead:
        runs.lost(run.pk, run.worker, send_again=False)
        assert runs.claim(run.pk, run.worker)
        left(run)[0].delete()
    if by_redis:
        told = {"state": "STARTED", "attempt": 1, "current": 30, "total": 40}
        get_record().publish(told_id, 1, dumps(told), [], final=False)
    reporter = Reporter(told_id, 1, Deaf(), Flusher())
    reporter.current = 30
    token = None if by_redis else activate(reporter)
    try:
        runs.lost(run.pk, run.worker, send_again=False)
    finally:
        if token is not None:
            deactivate(token)
    (one,) = left(run)
    assert one.numbers.get("current") == (30 if who.startswith("itself") else None)


def test_one_that_hung_and_was_to_end_was_ended_by_force():
    run = running()
    runs.cancel(run.pk)
    runs.lost(run.pk, run.worker, send_again=False, left=runs.Left(Attempt.How.HUNG, ERROR, "where it hung"))
    assert [(one.how, one.traceback) for one in left(run)] == [("killed", "where it hung")]


def test_the_attempts_go_with_their_run():
    run = running()
    runs.lost(run.pk, run.worker, send_again=False)
    runs.end(run.pk, "FAILURE", error=ERROR)
    TaskRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - timedelta(days=3))
    assert prune(timedelta(days=2)) == 1, "runs are counted, not what hangs on them"
    assert not Attempt.objects.exists()


DEATHS = {
    "killed": (WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 3."), -9),
    "a fault of C": (WorkerLostError("Worker exited prematurely: signal 11 (SIGSEGV) Job: 12."), -11),
    "it left": (WorkerLostError("Worker exited prematurely: exitcode 3 Job: 0."), 3),
    "nobody knows": (WorkerLostError("Could not find worker"), None),
    "sys.exit(4)": (SystemExit(4), 4),
    "sys.exit()": (SystemExit(), 0),
    "sys.exit(text)": (SystemExit("no"), 1),
}


@pytest.mark.parametrize("name", DEATHS)
def test_how_a_process_has_ended_is_kept_where_its_parent_knows_it(name):
    error, code = DEATHS[name]
    assert by_death(error).code == code
    assert by_death(error).how == "lost"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, ""),
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-signal.SIGKILL, "signal 9 (SIGKILL): out of memory?"),
        (-signal.SIGSEGV, "signal 11 (SIGSEGV)"),
        (-120, "signal 120"),
    ],
)
def test_the_end_of_a_process_in_words(code, said):
    assert said_code(code) == said


@shared_task(bind=True, max_retries=2, name="tests.stubborn")
def stubborn(self: Any) -> str:
    """Fails twice, each time for another reason."""
    if self.request.retries < 2:
        try:
            raise ValueError(f"reason {self.request.retries}")
        except ValueError as error:
            raise self.retry(exc=error, countdown=0) from error
    return "at last"


@pytest.mark.usefixtures("valkey")
def test_each_retry_leaves_its_error_and_its_traceback(here: Here):  # noqa: F811
    try:
        run = here.run(stubborn.delay().id)
        here.work()
        run.refresh_from_db()
        assert (run.state, run.attempt) == (State.SUCCESS, 3)
        assert [(one.how, (one.error or {})["message"]) for one in left(run)] == [
            ("retried", "reason 0"),
            ("retried", "reason 1"),
        ]
        assert 'raise ValueError(f"reason' in left(run)[0].traceback
    finally:
        current_app.tasks.unregister("tests.stubborn")


# --- what people see --------------------------------------------------------------------------------------------------


@pytest.fixture
def twice() -> TaskRun:
    """A run in its second attempt, of anybody's session."""
    run = running()
    runs.lost(run.pk, run.worker, send_again=False, left=by_death(DEATHS["killed"][0]))
    Attempt.objects.filter(run=run).update(
        traceback="secret/path.py",
        began=timezone.now() - timedelta(seconds=130),
        ended=timezone.now() - timedelta(seconds=5),
        numbers={"current": 7, "total": 10, "percent": 70.0, "unit": "row", "message": "so far"},
    )
    again = runs.claim(run.pk, "celery@web-2:1:ff")
    assert again is not None
    return again


def owner_of(run: TaskRun, *, staff: bool = False) -> Client:
    user = get_user_model().objects.create_user("sarah" if staff else "alice", password="x", is_staff=staff)
    if not staff:
        TaskRun.objects.filter(pk=run.pk).update(owner=user)
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.usefixtures("valkey")
def test_the_page_shows_every_attempt_with_what_it_took(twice):
    page = owner_of(twice).get(f"/tasks/{twice.pk}/").content.decode()
    table = page[page.index("<table") : page.index("</table")]
    assert table.count("<tr data-attempt") == 2
    for said in (
        "its process died",
        "signal 9 (SIGKILL): out of memory?",
        "2\u00a0min\u00a005\u00a0s",
        "70\u00a0%",
        "running",
    ):
        assert said in table, said
    assert "secret/path.py" not in page
    assert "web-1" not in page, "the worker is for staff"


def bars(page: str) -> list[dict[str, str]]:
    """What the axis' script reads of the table."""
    rows = re.findall(r'<tr data-attempt="\d+"[^>]*data-kind="attempt"[^>]*>', page)
    return [dict(re.findall(r'data-(\w+)="([^"]*)"', row)) for row in rows]


def axis(page: str) -> list[list[str]]:
    """The rows of the axis without script: name and time."""
    (rows,) = re.findall(r'<ol class="axis".*?</ol>', page, re.DOTALL)
    return [re.sub(r"<[^>]*>", " ", one).split() for one in re.findall(r"<li.*?</li>", rows)]


@pytest.mark.usefixtures("valkey")
def test_an_attempt_that_was_left_has_a_bar_and_the_newest_is_its_runs_own(twice):
    page = owner_of(twice).get(f"/tasks/{twice.pk}/").content.decode()
    (one,) = bars(page)
    (row,) = left(twice)
    assert (one["bar"], one["state"]) == ("attempt 1", "lost")
    assert [datetime.fromisoformat(one[name]) for name in ("from", "to")] == [row.began, row.ended]
    assert [" ".join(words[:2]) for words in axis(page) if words[0] == "attempt"] == ["attempt 1", "attempt 2"]


@pytest.mark.usefixtures("valkey")
@pytest.mark.parametrize(
    ("how", "word"), [("lost", "lost"), ("hung", "hung"), ("given_back", "given back"), ("killed", "killed")]
)
def test_a_run_that_ended_as_its_attempt_was_left_has_one_bar_of_that(how, word):
    run = running()
    runs.lost(run.pk, run.worker, send_again=False)
    runs.end(run.pk, "FAILURE", error=ERROR)
    Attempt.objects.filter(run=run).update(how=how)
    page = owner_of(run).get(f"/tasks/{run.pk}/").content.decode()
    assert [one["state"] for one in bars(page)] == [word]
    assert [words[:2] for words in axis(page) if words[0] == "attempt"] == [["attempt", "1"]]


@pytest.mark.usefixtures("valkey")
def test_staff_see_the_traceback_and_the_worker(twice):
    page = owner_of(twice, staff=True).get(f"/tasks/{twice.pk}/").content.decode()
    assert "secret/path.py" in page
    assert "celery@web-1:77:ab12" in page


@pytest.mark.usefixtures("valkey")
def test_a_run_in_its_first_attempt_has_no_table():
    run = running()
    assert "<table" not in owner_of(run).get(f"/tasks/{run.pk}/").content.decode()


@pytest.mark.usefixtures("valkey")
def test_the_api_carries_them(twice):
    answer = owner_of(twice).get(f"/api/tasks/{twice.pk}/")
    (one,) = answer.json()["task"]["attempts"]
    assert (one["number"], one["how"], one["code"], one["message"]) == (1, "lost", -9, "so far")
    assert one["reached"] == {"current": 7, "total": 10, "percent": 70.0, "unit": "row"}
    assert one["began_at"] < one["ended_at"]
    assert "secret" not in answer.content.decode()
    assert "web-1" not in answer.content.decode()


@pytest.mark.usefixtures("valkey")
def test_of_very_many_the_newest_are_told():
    run = running()
    rows = [Attempt(run=run, number=n, how="retried", ended=timezone.now()) for n in range(1, 200)]
    Attempt.objects.bulk_create(rows)
    TaskRun.objects.filter(pk=run.pk).update(attempt=200)
    client = owner_of(run)
    told = client.get(f"/api/tasks/{run.pk}/").json()["task"]["attempts"]
    assert [one["number"] for one in told] == list(range(200 - MAX_SHOWN, 200))
    page = client.get(f"/tasks/{run.pk}/").content.decode()
    assert page.count("<tr data-attempt") == MAX_SHOWN + 1
    numbers = [int(number) for number in re.findall(r'<tr data-attempt="?(\d+)', page)]
    assert numbers == sorted(numbers), "the oldest first"


def test_one_run_with_very_many_hides_those_of_no_other():
    many, few = running(), running()
    rows = [Attempt(run=many, number=n, how="retried", ended=timezone.now()) for n in range(1, 200)]
    rows += [Attempt(run=few, number=n, how="retried", ended=timezone.now()) for n in range(1, 3)]
    Attempt.objects.bulk_create(rows)
    many.attempt, few.attempt = 200, 3
    TaskRun.objects.filter(pk=many.pk).update(attempt=200)
    TaskRun.objects.filter(pk=few.pk).update(attempt=3)
    states: Any = {many.pk: {}, few.pk: {}}
    with_attempts([many, few], states)
    assert [one["number"] for one in states[many.pk]["attempts"]] == list(range(200 - MAX_SHOWN, 200))
    assert [one["number"] for one in states[few.pk]["attempts"]] == [1, 2]


@pytest.mark.usefixtures("valkey")
def test_a_long_error_is_short_in_the_list_of_attempts(twice):
    Attempt.objects.filter(run=twice).update(error={"type": "ValueError", "message": "x" * 10_000})
    (one,) = owner_of(twice).get(f"/api/tasks/{twice.pk}/").json()["task"]["attempts"]
    assert one["error"] == {"type": "ValueError", "message": "x" * MAX_ERROR_SHOWN}


@pytest.mark.usefixtures("valkey")
def test_what_another_program_has_written_breaks_no_page():
    run = running()
    Attempt.objects.create(
        run=run, number=1, how="odd", ended=timezone.now(), error=[1], numbers=[2], resumed_from="x", code=-999
    )
    TaskRun.objects.filter(pk=run.pk).update(attempt=2)
    client = owner_of(run)
    assert client.get(f"/tasks/{run.pk}/").status_code == 200
    assert client.get(f"/api/tasks/{run.pk}/").status_code == 200
