"""The first minute of an incident: a sentence, groups, queues and workers, on a page, as JSON and in a terminal."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from tasks.models import IgnoredFailure, Release, State, TaskRun
from tasks.runs import beats, now
from tasks.runs.waiting import Pulse

from .people import signed_in

pytestmark = pytest.mark.django_db

SAVE = "KeyError in save (shop/orders.py)"
ALIVE = beats.Worker("w1:7:abc", "celery@w1", ["celery"], 2, release="a1b2c3d")


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    monkeypatch.setattr(now, "_ended", now._Ended())
    monkeypatch.setattr(now, "_last", (float("-inf"), None))
    monkeypatch.setattr(now, "FRESH", 0.0)
    workers(monkeypatch, ALIVE)


def workers(monkeypatch: pytest.MonkeyPatch, *found: beats.Worker, reachable: bool = True, broker: bool = True) -> None:
    monkeypatch.setattr(now, "pulse", lambda: Pulse(reachable, list(found), 0.0, broker))


def made(count: int, state: str = State.SUCCESS, ago: float = 1, **values: Any) -> list[TaskRun]:
    """Runs that ended `ago` minutes ago, or wait since then."""
    at = timezone.now() - timedelta(minutes=ago)
    ended = state in (State.SUCCESS, State.FAILURE)
    values = {"name": "shop.tasks.save_order", "queue": "celery", "attempt": int(ended), "accepted_at": at} | values
    values |= {"state": state, "finished_at": at if ended else None, "sent_at": at}
    if state == State.FAILURE:
        values = {"fingerprint": SAVE, "worker": ALIVE.id, "error": {"type": "KeyError", "message": "'SKU-1'"}} | values
    return TaskRun.objects.bulk_create(TaskRun(**values) for _ in range(count))


def sentence() -> str:
    return str(now.look().sentences[0])


def test_more_failures_than_usual_are_said_with_their_beginning_and_the_release():
    made(500, ago=120)
    made(2, State.FAILURE, ago=120)
    made(100, ago=30)
    Release.objects.create(name="a1b2c3d", since=timezone.now() - timedelta(minutes=14))
    made(88, ago=1)
    made(11, State.FAILURE, ago=1)
    (first,) = made(1, State.FAILURE, ago=12)
    made(7, ago=12)
    assert first.finished_at is not None
    begin = f"{first.finished_at:%H:%M} UTC"
    assert sentence() == f"11 % fail since {begin}, usual 0.4 %, 2 min after release a1b2c3d."


def test_as_many_failures_as_usual_are_no_trouble():
    made(450, ago=120)
    made(50, State.FAILURE, ago=120)
    made(90, ago=2)
    made(10, State.FAILURE, ago=2)
    assert sentence() == "All is well: 10 % of 100 that ended within the last hour failed."


def test_an_idle_system_is_well():
    assert sentence().startswith("All is well: nothing ended within the last hour")


def test_a_span_that_is_over_is_counted_once(django_assert_num_queries):
    ended = now._Ended()
    made(3, ago=30)
    at = timezone.now()
    first = ended.spans(at)
    with django_assert_num_queries(2 * (now.SPANS - len(ended._over))):
        assert ended.spans(at) == first
    assert sum(span.ended for span in first) == 3
    assert len(ended._over) >= now.SPANS - 2


QUEUES = {
    "no worker takes from it": ({"state": State.PENDING, "queue": "mail"}, "No worker takes from mail, and 3 wait."),
    "its oldest waits too long": ({"state": State.PENDING, "ago": 10}, "celery steady: 3 wait, the oldest for 10 min."),
    "nothing waits too long": ({"state": State.PENDING, "ago": 2}, "All is well: nothing ended"),
    "what has a time does not wait": (
        {"state": State.PENDING, "ago": 60, "eta": timezone.now() + timedelta(hours=3)},
        "All is well: nothing ended",
    ),
}


@pytest.mark.parametrize("name", QUEUES)
def test_what_waits_is_said(name):
    values, said = QUEUES[name]
    made(3, **values)  # type: ignore[arg-type]
    assert sentence().startswith(said)


@pytest.mark.parametrize(
    ("reachable", "broker", "said"),
    [
        (True, False, "The broker is down: 3 wait, and are sent when it is back."),
        (False, True, "Redis is down: which workers run cannot be seen."),
    ],
)
def test_what_cannot_be_seen_is_not_taken_for_nobody(monkeypatch, reachable, broker, said):
    made(3, State.PENDING)
    workers(monkeypatch, *([ALIVE] if reachable else []), reachable=reachable, broker=broker)
    found = now.look()
    assert [str(one) for one in found.sentences] == [said]
    if not reachable:
        assert found.workers is None and found.queues[0].workers is None


def test_a_queue_says_what_comes_and_goes_and_whether_it_grows():
    made(20, State.PENDING, ago=2)
    made(5, ago=2)
    made(30, ago=2, queue="mail")
    made(4, State.PENDING, ago=2, queue="mail")
    made(60, ago=2, queue="old", accepted_at=timezone.now() - timedelta(hours=1))
    made(10, State.PENDING, ago=10, queue="old")
    found = {queue.name: queue for queue in now.look().queues}
    assert (found["celery"].waiting.number, found["celery"].trend) == (20, "grows")
    assert (found["celery"].came, found["celery"].went) == (5.0, 1.0)
    assert (found["old"].trend, found["old"].empty_in) == ("shrinks", "50 s")
    assert found["celery"].workers == 1 and found["mail"].workers == 0


def test_groups_are_of_the_last_hour_and_without_the_ignored():
    Release.objects.create(name="a1b2c3d", since=timezone.now() - timedelta(minutes=5))
    made(12, State.FAILURE)
    made(20, State.FAILURE, fingerprint="Old in save (shop/orders.py)", ago=3)
    made(1, State.FAILURE, fingerprint="Old in save (shop/orders.py)", ago=90)
    made(1, State.FAILURE, fingerprint="Gone in save (shop/orders.py)", ago=90)
    made(1, State.FAILURE, fingerprint="Ignored in save (shop/orders.py)")
    IgnoredFailure.objects.create(fingerprint="Ignored in save (shop/orders.py)", at=timezone.now(), by="sarah")
    found = {group.fingerprint: (group.number.number, new, grows) for group, new, grows in now.look().groups}
    assert found == {"Old in save (shop/orders.py)": (20, False, True), SAVE: (12, True, True)}


def test_a_worker_says_with_what_it_is_busy_and_how_much_failed(monkeypatch):
    (run,) = made(1, State.STARTED, worker=ALIVE.id, started_at=timezone.now())
    made(3, State.FAILURE)
    silent = beats.Worker("w2:8:def", "celery@w2", ["celery"], 2, silent_for=90.0)
    workers(monkeypatch, beats.Worker(ALIVE.id, ALIVE.hostname, ["celery"], 2, [run.pk]), silent)
    found = now.look().workers
    assert found is not None
    assert [one.worker.hostname for one in found] == ["celery@w2", "celery@w1"], "who is silent comes first"
    assert found[0].silent_since is not None and found[1].silent_since is None
    assert ([one.pk for one in found[1].busy], found[1].failed) == ([run.pk], 3)


# --- how it is told ---------------------------------------------------------------------------------------------------


def incident(monkeypatch: pytest.MonkeyPatch) -> TaskRun:
    made(500, ago=120)
    made(80)
    made(20, State.FAILURE)
    made(7, State.PENDING, ago=10, queue="mail")
    (run,) = made(1, State.STARTED, worker=ALIVE.id, started_at=timezone.now())
    workers(monkeypatch, beats.Worker(ALIVE.id, ALIVE.hostname, ["celery"], 2, [run.pk], release="a1b2c3d"))
    return run


def text(page: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.decode()))


def test_the_page_the_answer_for_scripts_and_the_command_say_the_same(monkeypatch):
    run = incident(monkeypatch)
    staff = signed_in("sarah", is_staff=True)
    page, out = staff.get("/runs/now/").content, StringIO()
    said = text(page)
    call_command("now", stdout=out)
    told = json.loads(staff.get("/api/now/").content)
    assert told["sentence"].startswith("20 % fail since ") and told["since"]
    for where in (said, out.getvalue()):
        assert "20 % fail since" in where and "usual 0 %" in where
        assert "No worker takes from mail, and 7 wait." in where
        assert "save_order" in where and "celery@w1" in where and "a1b2c3d" in where
    assert f'href="/tasks/{run.pk}/"' in page.decode()
    assert told["groups"][0]["fingerprint"] == SAVE and told["groups"][0]["in_the_last_hour"] == 20
    queues = {one["name"]: one for one in told["queues"]}
    assert queues["mail"]["waiting"] == 7 and 590 < queues["mail"]["oldest_seconds"] < 660
    assert told["workers"][0]["busy"][0]["task"] == "shop.tasks.save_order"
    out = StringIO()
    call_command("now", "--json", stdout=out)
    again = json.loads(out.getvalue())
    assert again.keys() == told.keys() and again["groups"] == told["groups"]


def test_an_empty_system_is_told_as_well(monkeypatch):
    workers(monkeypatch, reachable=False)
    staff, out = signed_in("sarah", is_staff=True), StringIO()
    call_command("now", stdout=out)
    assert "Redis is down: they cannot be seen" in out.getvalue()
    assert "Redis is down" in text(staff.get("/runs/now/").content)
    assert json.loads(staff.get("/api/now/").content)["workers"] is None


def test_others_are_not_told():
    assert Client().get("/api/now/").status_code in (401, 403)
    assert signed_in("bob").get("/api/now/").status_code == 403
    assert signed_in("carl").get("/runs/now/").status_code == 302
