"""Where is it? Asked by staff, answered by the process of the task, or by its worker's parent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client

from progress.flusher import Flusher
from progress.record import get_record
from progress.reporter import Reporter
from tasks import runs
from tasks.models import TaskRun
from tasks.runs import where as module
from tasks.runs.where import Parent, Where, ask, key_of, where
from tasks.tasks import demo_task

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


@pytest.fixture
def run() -> TaskRun:
    found = runs.claim(demo_task.delay().id, "celery@here:1:ab")
    assert found is not None
    return found


@pytest.fixture
def hung(run) -> Iterator[TaskRun]:
    """A run whose task hangs in a thread of this process."""
    let_go, ready = threading.Event(), threading.Event()

    def hangs_here() -> None:
        reporter = Reporter(run.pk, 1, get_record(), Flusher(interval=0.01, poll_interval=0.02)).open()
        ready.set()
        let_go.wait(60)
        reporter.close()

    thread = threading.Thread(target=hangs_here, daemon=True)
    thread.start()
    ready.wait(10)
    yield run
    let_go.set()
    thread.join(10)


def people(run: TaskRun, *, is_staff: bool) -> Client:
    user = get_user_model().objects.create_user("sarah" if is_staff else "alice", is_staff=is_staff)
    TaskRun.objects.filter(pk=run.pk).update(owner=user)
    client = Client()
    client.force_login(user)
    return client


def test_the_task_itself_answers(hung):
    assert "in hangs_here" in where(hung.pk).stack


def test_one_that_talks_all_the_time_answers_as_well(run):
    """It is never asked whether it was cancelled: it hears that with what it publishes."""
    let_go = threading.Event()

    def talks_here() -> None:
        reporter = Reporter(run.pk, 1, get_record(), Flusher(interval=0.01, poll_interval=3600)).open()
        number = 0
        while not let_go.wait(0.005):
            reporter.set(number := number + 1)
        reporter.close()

    thread = threading.Thread(target=talks_here, daemon=True)
    thread.start()
    try:
        assert "in talks_here" in where(run.pk).stack
    finally:
        let_go.set()
        thread.join(10)


def test_staff_see_it_on_the_page_and_nobody_else(hung):
    path = f"/tasks/{hung.pk}/"
    staff, owner = people(hung, is_staff=True), None
    page = staff.get(f"{path}?where=1").content.decode()
    assert "in hangs_here" in page
    assert "Where is it?" in page
    assert "in hangs_here" not in staff.get(path).content.decode(), "nobody has asked"
    owner = people(hung, is_staff=False)
    page = owner.get(f"{path}?where=1").content.decode()
    assert "in hangs_here" not in page
    assert "Where is it?" not in page


def test_the_command_prints_it(hung):
    out = StringIO()
    call_command("where", hung.pk, stdout=out)
    assert "in hangs_here" in out.getvalue()


def test_whom_nobody_finds_any_more_is_told_so(run, monkeypatch):
    monkeypatch.setattr(type(get_record()), "answered", lambda *_: "")
    assert where(run.pk) == Where(why_not="Its thread is not there any more.")


def test_who_cannot_answer_is_told_with_a_reason(run, monkeypatch):
    monkeypatch.setattr(module, "WITHIN", 0.2)
    assert where(run.pk) == Where(
        why_not="Nobody answered within 0.2 s: its worker, celery@here:1:ab, may be gone or stopped."
    )
    assert where("nothing").why_not == "There is no such run."
    runs.end(run.pk, "SUCCESS", attempt=1)
    assert where(run.pk).why_not == "It does not run: SUCCESS."
    with pytest.raises(CommandError, match="It does not run"):
        call_command("where", run.pk)


def test_without_redis_the_page_says_so(run, monkeypatch):
    def away(*_: object, **__: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(type(get_record()), "ask_where", away)
    page = people(run, is_staff=True).get(f"/tasks/{run.pk}/?where=1")
    assert page.status_code == 200
    assert "Redis does not answer" in page.content.decode()


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_the_workers_parent_answers_where_the_process_does_not(run, monkeypatch):
    clock: Any = Clock()
    monkeypatch.setattr(module, "time", clock)
    looked: list[str] = []

    def look_into(run_id: str) -> str:
        looked.append(run_id)
        return "in C"

    parent = Parent(run.worker, look_into)
    other = Parent("celery@there:2:cd", look_into)
    asked = ask(run)
    for parent_of in (parent, other):
        parent_of.look()
    assert looked == [], "the process comes first"
    clock.now += module.PATIENCE
    other.look()
    assert looked == [], "it is not its run"
    parent.look()
    assert looked == [run.pk]
    assert get_record().answered(asked) == "in C"
    clock.now += 10
    parent.look()
    assert looked == [run.pk], "once"
    assert get_record().heard(key_of(run.worker)) == {}


def test_what_the_process_has_answered_the_parent_does_not_ask_again(run, monkeypatch):
    clock: Any = Clock()
    monkeypatch.setattr(module, "time", clock)
    parent = Parent(run.worker, lambda run_id: pytest.fail("it was asked"))
    asked = ask(run)
    parent.look()
    get_record().answer(run.pk, asked, "in Python")
    clock.now += module.PATIENCE
    parent.look()
    assert get_record().answered(asked) == "in Python"


def test_a_parent_that_finds_nothing_answers_nothing(run, monkeypatch):
    """The process may yet answer itself."""
    clock: Any = Clock()
    monkeypatch.setattr(module, "time", clock)
    parent = Parent(run.worker, lambda run_id: "")
    asked = ask(run)
    parent.look()
    clock.now += module.PATIENCE
    parent.look()
    assert get_record().answered(asked) is None
    get_record().answer(run.pk, asked, "in Python")
    assert get_record().answered(asked) == "in Python"


def test_a_second_question_has_its_own_time(run, monkeypatch):
    clock: Any = Clock()
    monkeypatch.setattr(module, "time", clock)
    looked: list[str] = []
    parent = Parent(run.worker, lambda run_id: looked.append(run_id) or "in C")  # type: ignore[func-returns-value]
    for number in (1, 2):
        ask(run)
        parent.look()
        clock.now += module.PATIENCE / 2
        parent.look()
        assert len(looked) == number - 1
        clock.now += module.PATIENCE / 2
        parent.look()
        assert len(looked) == number


def test_where_nobody_asks_a_look_is_one_round_trip(run, monkeypatch):
    calls: list[str] = []
    record = get_record()
    for name in ("answered", "answer", "unheard"):
        monkeypatch.setattr(type(record), name, lambda *_, name=name: calls.append(name))
    Parent(run.worker, lambda run_id: "x").look()
    assert calls == []


def test_a_question_to_an_attempt_before_is_none_to_the_next(run):
    """Answered, it is taken back: the next attempt does not answer it again."""
    asked = ask(run)
    reply = get_record().poll([(run.pk, 1)])[0]
    assert reply.asked is not None
    reply.asked("here")
    assert get_record().answered(asked) == "here"
    assert get_record().poll([(run.pk, 1)])[0].asked is None
    assert get_record().read(run.pk).changing == {}, "a question alone is no record"


# --- in development its worker is killed ------------------------------------------------------------------------------


@pytest.fixture
def killed(monkeypatch) -> list[tuple[int, int]]:
    """(process, signal) of what would be killed: here that is the tests' own process."""
    found: list[tuple[int, int]] = []
    monkeypatch.setattr("tasks.runs.killing.os.kill", lambda *one: found.append(one))
    return found


def test_in_development_the_owner_kills_the_worker_that_holds_the_run(run, killed, settings):
    settings.DEBUG = True
    owner, parent, other = people(run, is_staff=False), Parent(run.worker, str), Parent("celery@there:2:cd", str)
    assert "Kill its worker now" in owner.get(f"/tasks/{run.pk}/").content.decode()
    answer = owner.post(f"/tasks/{run.pk}/kill/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["worker"]) == (202, run.worker)
    other.look()
    assert killed == [], "it has another run"
    parent.look()
    parent.look()
    assert killed == [(os.getpid(), signal.SIGKILL)], "once"
    page = owner.post(f"/tasks/{run.pk}/kill/", follow=True)
    assert "Its worker is killed." in page.content.decode()


@pytest.mark.parametrize(
    ("values", "obeys"),
    [
        ({"DEBUG": False, "PRODUCTION": False}, True),  # as start_dev.sh starts it
        ({"DEBUG": True, "PRODUCTION": False}, True),
        ({"DEBUG": False, "PRODUCTION": True}, False),
        ({"DEBUG": False}, False),  # a project that has no such setting
        ({"DEBUG": True}, True),
    ],
)
def test_a_worker_in_production_does_not_obey(run, killed, settings, values, obeys):
    settings.DEBUG = True
    people(run, is_staff=False).post(f"/tasks/{run.pk}/kill/")
    del settings.PRODUCTION
    for name, value in values.items():
        setattr(settings, name, value)
    Parent(run.worker, str).look()
    assert len(killed) == int(obeys)


@pytest.mark.parametrize(
    ("debug", "who", "status"),
    [(False, "owner", 404), (False, "staff", 404), (True, "nobody", 404), (True, "staff", 202)],
)
def test_who_may_kill_a_worker_and_where(run, killed, settings, debug, who, status):
    settings.DEBUG = debug
    client = Client() if who == "nobody" else people(run, is_staff=who == "staff")
    assert client.post(f"/tasks/{run.pk}/kill/", headers={"Accept": "application/json"}).status_code == status
    assert bool(get_record().heard(key_of(run.worker))) == (status == 202)
    if not debug:
        assert "Kill its worker" not in client.get(f"/tasks/{run.pk}/").content.decode()


def test_what_no_worker_has_and_what_cannot_be_asked_is_said(run, settings, monkeypatch):
    settings.DEBUG = True
    owner, path = people(run, is_staff=False), f"/tasks/{run.pk}/kill/"
    monkeypatch.setattr(type(get_record()), "hear_of", lambda *_: 1 / 0)
    said = owner.post(path, headers={"Accept": "application/json"})
    assert (said.status_code, said.json()) == (
        409,
        {"errors": {"worker": ["Redis does not answer, so its worker cannot be reached."]}},
    )
    runs.end(run.pk, "SUCCESS", attempt=1)
    said = owner.post(path, headers={"Accept": "application/json"})
    assert (said.status_code, said.json()) == (409, {"errors": {"worker": ["No worker has it: done."]}})
    assert "No worker has it: done." in owner.post(path, follow=True).content.decode()
