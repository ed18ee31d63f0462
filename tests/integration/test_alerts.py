"""Trouble is told once when it begins and once when it is over, however many look."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.utils import timezone

from tasks.models import Alert, State, TaskRun
from tasks.runs import alerts, beats, failures
from tasks.runs.notify import Messenger
from tasks.runs.waiting import Pulse
from tasks.web.middleware import OwnerMiddleware
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db

SAVE = "KeyError in save (shop/orders.py)"
ALIVE = Pulse(True, [beats.Worker("w1:7:abc", "celery@w1", ["celery"], 2)])
NOBODY = Pulse(True, [])
AWAY = Pulse(False, [])


class Told(Messenger):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__([])
        self.said: list[str] = []
        self.bodies: list[str] = []

    def send(self, title: str, body: str) -> None:
        self.said.append(title)
        self.bodies.append(body)


class Everybody:
    """Ten processes that look, one after the other."""

    def __init__(self) -> None:
        self.told = Told()
        self.all = [alerts.Alerts(lambda: self.told) for _ in range(10)]

    def look(self, alive: Pulse = ALIVE, later: float = 0) -> list[str]:
        """What is said in this look, `later` by so many minutes."""
        before = len(self.told.said)
        for one in self.all:
            one.compare(timezone.now() + timedelta(minutes=later), alive)
        return self.told.said[before:]


@pytest.fixture
def everybody(settings) -> Everybody:
    settings.TASKS_ALERT_URLS = ["json://127.0.0.1:9/"]
    settings.TASKS_SITE_URL = "https://tasks.example.com"
    settings.TASKS_ALERT_WAIT = 300
    return Everybody()


def failed(count: int = 1, fingerprint: str = SAVE, ago: float = 1) -> None:
    at = timezone.now() - timedelta(minutes=ago)
    same: dict[str, Any] = {"name": "shop.save", "queue": "celery", "state": State.FAILURE, "worker": "w1:7:abc"}
    same |= {"accepted_at": at, "finished_at": at, "error": {"type": "KeyError", "message": "'SKU-1'"}}
    TaskRun.objects.bulk_create(TaskRun(fingerprint=fingerprint, **same) for _ in range(count))


def waits(ago: float, queue: str = "celery") -> TaskRun:
    at = timezone.now() - timedelta(minutes=ago)
    return TaskRun.objects.create(name="shop.save", queue=queue, accepted_at=at, sent_at=at)


def test_a_new_failure_is_told_once_with_a_link_and_once_when_it_is_over(everybody):
    failed()
    assert everybody.look() == [f"New failure: {SAVE}"]
    body = everybody.told.bodies[0]
    assert "1 of save" in body and "w1 ×1" in body and "'SKU-1'" in body
    assert body.endswith("https://tasks.example.com/runs/?fingerprint=KeyError+in+save+%28shop%2Forders.py%29")
    assert everybody.look() == []
    failed()
    assert everybody.look(later=5) == []
    assert everybody.look(later=20) == [f"Over: New failure: {SAVE}"]
    assert everybody.look(later=21) == []


def test_a_failure_that_was_there_before_is_not_new(everybody):
    failed(ago=60)
    failed()
    assert everybody.look() == []


def test_a_group_that_grows_is_told_once_and_once_when_it_is_over(everybody):
    failed(ago=60)
    failed(5, ago=15)
    failed(8)
    assert everybody.look() == []
    failed(8)
    assert everybody.look() == [f"More and more: {SAVE}"]
    failed(30)
    assert everybody.look() == []
    assert everybody.look(later=20) == [f"Over: More and more: {SAVE}"]


def test_an_ignored_group_is_told_no_more(everybody):
    failed(ago=60)
    failed(30)
    failures.ignore(SAVE, "sarah")
    assert everybody.look() == []
    failures.watch(SAVE)
    assert everybody.look() == [f"More and more: {SAVE}"]
    failures.ignore(SAVE, "sarah")
    assert everybody.look() == [] and everybody.look(later=30) == []
    assert not Alert.objects.filter(is_open=True).exists()


def test_a_queue_whose_oldest_waits_too_long_is_told_until_it_is_served(everybody):
    run = waits(ago=4)
    assert everybody.look() == []
    assert everybody.look(later=2) == ["celery waits too long"]
    assert "1 wait, the oldest for 6 min" in everybody.told.bodies[0]
    assert everybody.told.bodies[0].endswith("https://tasks.example.com/runs/now/")
    assert everybody.look(later=3) == []
    TaskRun.objects.filter(pk=run.pk).update(state=State.STARTED)
    assert everybody.look(later=4) == ["Over: celery waits too long"]


def test_what_waits_for_its_time_does_not_wait_too_long(everybody):
    run = waits(ago=60)
    TaskRun.objects.filter(pk=run.pk).update(eta=timezone.now() + timedelta(hours=1))
    assert everybody.look() == []


def test_a_queue_that_nobody_takes_from_is_told_until_somebody_does(everybody):
    waits(ago=0.1, queue="mail")
    assert everybody.look() == []
    assert everybody.look(later=1) == ["No worker takes from mail"]
    serves = Pulse(True, [*ALIVE.workers, beats.Worker("w2:8:def", "celery@w2", ["mail"], 2)])
    assert everybody.look(serves, later=2) == ["Over: No worker takes from mail"]


def test_no_worker_is_told_when_nobody_was_alive_for_a_while(everybody, monkeypatch):
    waits(ago=1)
    assert everybody.look(NOBODY) == []
    clock = time.monotonic() + 31
    monkeypatch.setattr("tasks.runs.alerts.time.monotonic", lambda: clock)
    assert everybody.look(NOBODY) == ["No worker is running"]
    assert "1 wait. Start one: celery -A" in everybody.told.bodies[0]
    assert everybody.look(NOBODY) == []
    assert everybody.look(ALIVE) == ["Over: No worker is running"]


def test_while_redis_is_away_nobody_is_taken_for_dead_nor_for_back(everybody, monkeypatch):
    waits(ago=1, queue="mail")
    assert everybody.look() == ["No worker takes from mail"]
    clock = time.monotonic()
    for _ in range(3):
        clock += 31
        monkeypatch.setattr("tasks.runs.alerts.time.monotonic", lambda: clock)  # noqa: B023
        assert everybody.look(AWAY) == []


def test_what_is_over_does_not_begin_again_at_once(everybody):
    run = waits(ago=6)
    assert everybody.look() == ["celery waits too long"]
    TaskRun.objects.filter(pk=run.pk).update(state=State.STARTED)
    assert everybody.look() == ["Over: celery waits too long"]
    waits(ago=6)
    assert everybody.look() == []
    assert everybody.look(later=2) == ["celery waits too long"]


def test_two_that_have_looked_at_the_same_time_tell_it_once(everybody):
    trouble, now = alerts.Trouble("waits:celery", "celery waits", "", ""), timezone.now()
    assert [alerts._begin(trouble, now) for _ in range(3)] == [True, False, False]


def test_without_an_address_nothing_is_asked(settings, django_assert_num_queries):
    settings.TASKS_ALERT_URLS = []
    failed()
    with django_assert_num_queries(0):
        alerts.Alerts(Told).look()


def test_a_process_looks_seldom(everybody, monkeypatch):
    monkeypatch.setattr(alerts, "pulse", lambda: ALIVE)
    looked: list[int] = []
    one = everybody.all[0]
    monkeypatch.setattr(one, "compare", lambda *_: looked.append(1))
    for _ in range(5):
        one.look()
    assert looked == [1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Apprise imports all it can speak, and some of that is old
def test_an_address_that_is_not_reached_is_logged_without_its_password(settings, monkeypatch, caplog):
    settings.TASKS_ALERT_URLS = ["json://user:secret@127.0.0.1:9/"]
    one = alerts.Alerts()
    failed()
    one.compare(timezone.now(), ALIVE)
    assert one._messenger is not None
    for thread in one._messenger._threads:
        thread.join(30)
    failed(fingerprint="Other in save (shop/orders.py)")
    one.compare(timezone.now(), ALIVE)
    assert "Number 1 of ALERT_URLS (json) was not reached" in caplog.text and "secret" not in caplog.text


def test_what_was_over_long_ago_is_forgotten(everybody):
    now = timezone.now()
    for key, is_open, days in (("new:a", False, 40), ("new:b", True, 40), ("new:c", False, 1)):
        Alert.objects.create(key=key, title=key, is_open=is_open, changed_at=now - timedelta(days=days))
    alerts.forget(timedelta(days=30))
    assert set(Alert.objects.values_list("key", flat=True)) == {"new:b", "new:c"}


# --- the thread in a web process --------------------------------------------------------------------------------------


class Service(BaseHTTPRequestHandler):
    """Takes what Apprise's json:// posts."""

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.said.append(said["title"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service(settings) -> Iterator[list[str]]:
    """The titles that a service of ALERT_URLS has heard."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        heard: list[str] = []
        server.said = heard  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.TASKS_ALERT_URLS = [f"json://127.0.0.1:{server.server_port}/"]
        yield heard
        server.shutdown()


@pytest.fixture
def stop(monkeypatch) -> Iterator[threading.Event]:
    """What ends the threads that a test has started. No look is later than another one's by more than a moment."""
    stop, watch = threading.Event(), alerts._watch
    monkeypatch.setattr(alerts, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(alerts, "_watching", threading.Lock())
    monkeypatch.setattr(alerts, "_watch", lambda one, _: watch(one, stop))
    yield stop
    stop.set()
    for thread in watchers():
        thread.join(10)
        assert not thread.is_alive()


def watchers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "tasks-alerts"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as above
@pytest.mark.django_db(transaction=True)
def test_a_web_process_tells_by_itself_whatever_one_look_has_met(service, stop, monkeypatch, caplog):
    """No worker is there that could; the first look finds no database."""
    looks: list[object] = []
    compare = alerts.Alerts.compare

    def first_without_a_database(self: alerts.Alerts, *args: Any) -> None:
        looks.append(self)
        if len(looks) == 1:
            raise OperationalError("the database is away")
        compare(self, *args)

    monkeypatch.setattr(alerts.Alerts, "compare", first_without_a_database)
    failed()
    for _ in range(3):
        OwnerMiddleware(lambda request: HttpResponse())
    wait_until(lambda: service, 20, "the service has heard of it")
    wait_until(lambda: len(looks) > 4, 20, "it goes on to look")
    assert service == [f"New failure: {SAVE}"]
    assert len(set(looks)) == 1 == len(watchers()), "one thread looks, however many ask"
    assert "A look for alerts failed: the database is away" in caplog.text


def test_a_web_process_with_nobody_to_tell_has_no_such_thread(settings, stop):
    settings.TASKS_ALERT_URLS = []
    OwnerMiddleware(lambda request: HttpResponse())
    assert not watchers()
