"""Health and figures: for machines that ask often, also while everything that they ask about hangs."""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from django_starter import health, logs
from progress.layer import ProgressChannelLayer
from progress.redis import make_client
from tasks import runs
from tasks.celery import broker
from tasks.models import State, TaskRun
from tasks.runs import beats, counts, waiting
from tasks.runs.ask import OneAtATime
from tasks.tasks import demo_task

NOBODY = "redis://127.0.0.1:1/0"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh():
    """Nothing is remembered of another test's look."""
    for check in health.CHECKS.values():
        check._asked = None
    waiting._last, waiting._client = waiting.Pulse(reachable=True), None
    counts.counts._forked()


def beat(**more) -> None:

    with make_client(django_settings.REDIS_URL) as client:
        beats.beat(client, beats.Worker(id="w1", hostname="w1@test", queues=["celery"], concurrency=2, **more))


def test_live_asks_nobody():
    assert Client().get("/health/live").json() == {"status": "ok"}


def test_ready_when_everything_answers(valkey):
    beat()
    answer = Client().get("/health/ready")
    assert answer.json()["failing"] == []
    assert answer.status_code == 200


def test_ready_names_what_is_missing(valkey):
    answer = Client().get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["failing"] == ["workers"]
    assert answer.json()["checks"]["workers"] == "No worker is running."


def test_ready_while_redis_is_away(monkeypatch, settings):
    def away(*_) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(broker, "ping", away)
    monkeypatch.setattr(ProgressChannelLayer, "round_trip", away)
    settings.REDIS_URL = NOBODY
    answer = Client().get("/health/ready")
    assert answer.json()["failing"] == ["broker", "channels", "workers"]


def test_ready_answers_within_a_second_when_everything_hangs_and_starts_no_crowd_of_threads(monkeypatch):
    released = threading.Event()

    def hang() -> str:
        released.wait(20)
        return ""

    names = ("database", "broker", "channels", "workers", "disk")
    monkeypatch.setattr(health, "CHECKS", {name: OneAtATime(hang, name) for name in names})
    Client().get("/health/live")  # the first request loads the middleware
    threads = threading.active_count()
    for _ in range(3):
        began = time.monotonic()
        answer = Client().get("/health/ready")
        assert time.monotonic() - began < 1
        assert answer.status_code == 503
        assert answer.json()["failing"] == ["broker", "channels", "database", "disk", "workers"]
        assert answer.json()["checks"]["broker"] == "No answer."
    assert threading.active_count() - threads <= 5
    released.set()


def test_a_crowd_that_asks_opens_one_connection(valkey, monkeypatch):
    beat()
    asked: list[float] = []
    monkeypatch.setattr(broker, "ping", asked.append)
    for check in health.CHECKS.values():
        monkeypatch.setattr(check, "_fresh", check._fresh * 1_000)
    assert {Client().get("/health/ready").status_code for _ in range(50)} == {200}
    assert len(asked) == 1


def test_a_disk_that_is_nearly_full_is_named(valkey, monkeypatch):
    beat()
    monkeypatch.setattr(health, "LEAST_DISK", 2**62)
    assert Client().get("/health/ready").json()["failing"] == ["disk"]


def test_in_production_nothing_of_the_inside_is_told(settings):
    settings.PRODUCTION = True
    text = Client().get("/health/ready").content.decode()
    assert "6379" not in text
    assert "127.0.0.1" not in text
    assert "Error" not in text


# --- /metrics ---------------------------------------------------------------------------------------------------------


def ended_run() -> TaskRun:
    run = TaskRun.objects.get(pk=demo_task.delay().id)
    claimed = runs.claim(run.pk, "w1")
    assert claimed
    counts.claimed(claimed)
    runs.end(run.pk, State.SUCCESS, attempt=1)
    assert not runs.end(run.pk, State.SUCCESS, attempt=1)
    run.refresh_from_db()
    return run


def test_figures_of_a_run_from_accepted_to_ended(valkey):
    beat()
    ended_run()
    demo_task.delay()
    counts.counts.flush()
    text = Client().get("/metrics").content.decode()
    for line in (
        'tasks_accepted_total{task="tasks.tasks.demo_task"} 2.0',
        'tasks_attempts_total{task="tasks.tasks.demo_task"} 1.0',
        'tasks_finished_total{state="SUCCESS",task="tasks.tasks.demo_task"} 1.0',
        'tasks_wait_seconds_count{task="tasks.tasks.demo_task"} 1.0',
        'tasks_run_seconds_bucket{le="+Inf",task="tasks.tasks.demo_task"} 1.0',
        "tasks_refused_writes_total 1.0",
        'tasks_waiting{queue="celery"} 1.0',
        "tasks_running 0.0",
        "tasks_workers 1.0",
        "tasks_worker_slots 2.0",
        "progress_sockets 0.0",
        'django_starter_up{service="redis"} 1.0',
    ):
        assert line in text.splitlines(), text


def test_while_redis_is_away_the_rest_is_told_and_no_count_is_lost(settings):
    settings.REDIS_URL = NOBODY
    ended_run()
    counts.counts.flush()
    text = Client().get("/metrics").content.decode()
    assert 'django_starter_up{service="redis"} 0.0' in text
    assert 'django_starter_up{service="database"} 1.0' in text
    assert counts.counts._values["accepted|tasks.tasks.demo_task"] == 1


def test_a_wait_is_counted_from_the_time_at_which_the_run_was_due():
    now = timezone.now()
    run = TaskRun(name="x", attempt=1, accepted_at=now - timedelta(hours=1), eta=now - timedelta(seconds=2))
    run.started_at = now
    counts.claimed(run)
    assert counts.counts._values["wait|x|2.5"] == 1


def test_metrics_are_for_this_machine_or_for_who_brings_the_token(settings):
    assert Client().get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="198.51.100.7").get("/metrics").status_code == 404
    assert Client().get("/metrics", headers={"X-Forwarded-For": "198.51.100.7"}).status_code == 404
    settings.METRICS_TOKEN = "a-token-that-nobody-guesses"
    assert Client().get("/metrics").status_code == 404
    assert Client().get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    headers = {"Authorization": "Bearer a-token-that-nobody-guesses"}
    assert Client(REMOTE_ADDR="198.51.100.7").get("/metrics", headers=headers).status_code == 200


# --- logs -------------------------------------------------------------------------------------------------------------


def test_a_json_line_stays_one_line_and_names_its_request_and_task():
    record = logging.LogRecord("x", logging.INFO, "", 0, "two\nlines: %s", ({"a": 1},), None)
    record.task_id, record.attempt = "t1", 2
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["message"], line["task_id"], line["attempt"]) == ("two\nlines: {'a': 1}", "t1", 2)


def test_what_celery_says_of_a_task_names_it():
    record = logging.LogRecord("celery", logging.INFO, "", 0, "received", (), None)
    record.data = {"id": "t1", "name": "x"}
    assert json.loads(logs.JsonFormatter().format(record))["task_id"] == "t1"


def test_the_request_id_travels_with_the_message(client):
    answer = client.post(
        "/tasks/start/", "{}", content_type="application/json", headers={"X-Request-ID": "from-the-proxy"}
    )
    message = TaskRun.objects.get(pk=answer.json()["task_id"]).message
    assert message["options"]["headers"]["request_id"] == "from-the-proxy"
