"""What staff sees of the schedules, in a browser, a terminal, the doctor and the metrics; and nobody else."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import current_app
from celery.schedules import crontab
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from django_starter import metrics
from django_starter.doctor import work
from django_starter.doctor.checklist import NAMES
from django_starter.doctor.context import Context
from django_starter.doctor.site import Site
from tasks import runs
from tasks.models import Schedule, State, TaskRun
from tasks.runs import beats, counts, waiting
from tasks.runs.beats import Worker
from tasks.schedules.firing import Firing
from tasks.schedules.outlook import outlooks

from .people import signed_in, visitor

pytestmark = pytest.mark.django_db

DEMO = "tasks.tasks.demo_task"


@pytest.fixture(autouse=True)
def entries(settings) -> Iterator[None]:
    before = current_app.conf.beat_schedule
    current_app.conf.beat_schedule = {
        "report": {"task": DEMO, "schedule": crontab(minute=30, hour=6, day_of_week="mon-fri")},
        "often": {"task": DEMO, "schedule": 10},
        "gone": {"task": "shop.gone", "schedule": 10},
        "bad": {"task": DEMO, "schedule": "daily"},
    }
    settings.TASKS_SCHEDULE_RULES = {"report": {"timezone": "Europe/Berlin", "jitter": 30}}
    yield
    current_app.conf.beat_schedule = before


@pytest.fixture
def sarah() -> Client:
    return signed_in("sarah", is_staff=True)


@pytest.fixture
def worker(monkeypatch) -> None:
    """One that serves the default queue, and has looked."""
    one = Worker("w1", "w1@here", ["celery"], 2, [], [])
    monkeypatch.setattr("tasks.schedules.outlook.pulse", lambda: waiting.Pulse(True, [one], 0.0, True))
    Firing().look()


def page(client: Client, query: str = "") -> dict[str, str]:
    """The text of each entry's card, and that above them under ""."""
    answer = client.get(f"/schedules/{query}")
    assert answer.status_code == 200
    above, *cards = answer.content.decode().split("<article")
    text = [html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", card))) for card in cards]
    return {
        "": above,
        **{re.findall(r'id="entry-\d+">(.*?)</h2>', card)[0]: said for card, said in zip(cards, text, strict=True)},
    }


def act(client: Client, action: str, entry: str) -> str:
    answer = client.post("/schedules/", {"action": action, "entry": entry}, follow=True)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def test_bob_and_charlie_see_no_schedules_and_can_pause_none(worker):
    for client in (visitor(), signed_in("bob")):
        for answer in (client.get("/schedules/"), client.post("/schedules/", {"action": "pause", "entry": "often"})):
            assert answer.status_code == 302 and answer["Location"].startswith("/login/")
    assert "Schedules" not in visitor().get("/").content.decode()
    assert not Schedule.objects.filter(paused_at__isnull=False).exists()


def test_staff_sees_each_entry_in_words_its_next_five_times_and_its_last_five_runs(sarah, worker):
    ticks = [datetime(2026, 11, day, 5, 30, tzinfo=UTC) for day in range(16, 23)]
    for tick in ticks:
        run = TaskRun.objects.create(name=DEMO, queue="celery", periodic="report", tick=tick, accepted_at=tick)
        runs.claim(run.pk, "w1")
        runs.end(run.pk, State.SUCCESS, attempt=1, result=None)
    cards = page(sarah)
    assert list(cards) == ["", "bad", "gone", "often", "report"]
    told = cards["report"]
    assert "every weekday at 06:30, Europe/Berlin" in told and DEMO in told and "each up to 30 s later" in told
    last, coming = told.split("Next", 1)
    assert re.findall(r"(\d+) Nov, 06:30:00", last) == ["22", "21", "20", "19", "18"] and last.count("done") == 5
    assert re.search(r"done \w+ 22 Nov, 06:30:00 0\.\d s", last)
    assert len(re.findall(r"(?:Mon|Tue|Wed|Thu|Fri) \d+ \w+, 06:30:00", coming)) == 5
    assert "every 10 seconds" in cards["often"] and "none yet" in cards["often"]


def test_why_an_entry_does_not_fire(sarah, worker, monkeypatch):
    cards = page(sarah)
    assert "No task is called shop.gone: is it renamed?" in cards["gone"]
    assert "schedule must be seconds, a timedelta, crontab or solar, but got 'daily'." in cards["bad"]
    assert "note" not in cards["often"]

    now = timezone.now()
    row = Schedule.objects.filter(name="often")
    row.update(last_due=now - timedelta(minutes=2))
    assert "Its time has come, and no worker has fired it" in page(sarah)["often"]
    row.update(last_due=now, held_due=now, skipped=3, skipped_at=now, missed=1, missed_at=now)
    row.update(error="TypeError: no", error_at=now)
    told = page(sarah)["often"]
    for text in ("waits until the last run has ended", "3 ticks were skipped", "1 tick was missed", "TypeError: no"):
        assert text in told, text
    row.update(fingerprint="of other code")
    assert "restart those with older code" in page(sarah)["often"]
    row.delete()
    assert "No worker has seen this entry yet" in page(sarah)["often"]

    slow = Worker("w", "w@x", ["slow"], 1, [], [])
    for pulse, why in (
        (waiting.Pulse(True, [], 0.0, True), "No worker is running: celery -A django_starter worker"),
        (waiting.Pulse(False, [], 0.0, True), "Redis is down"),
        (waiting.Pulse(True, [slow], 0.0, True), "No worker serves the queue celery"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr("tasks.schedules.outlook.pulse", lambda pulse=pulse: pulse)
            assert why in page(sarah)["often"]


def test_staff_pauses_resumes_and_starts_an_entry_by_hand(sarah, worker):
    assert "often is paused." in act(sarah, "pause", "often")
    assert "paused already" in act(sarah, "pause", "often")
    told = page(sarah)["often"]
    assert re.search(r"It is paused since .* by sarah\.", told) and "Next, if it were not paused" in told
    assert Schedule.objects.get(name="often").paused_by == "sarah"
    assert "often fires again." in act(sarah, "resume", "often")
    assert "was not paused" in act(sarah, "resume", "often")
    assert "paused since" not in page(sarah)["often"]

    assert "often is started." in act(sarah, "run", "often")
    run = TaskRun.objects.get(periodic="often")
    assert run.tick is None and run.owner is not None
    assert "by hand" in page(sarah)["often"]
    for name, why in (("gone", "No task is called"), ("bad", "schedule must be")):
        assert f"{name} cannot be started: {why}" in act(sarah, "run", name)
    current_app.conf.beat_schedule["often"]["args"] = (1, 2, 3)
    assert "often cannot be started: TypeError" in act(sarah, "run", "often")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 400),
        ({"action": "delete", "entry": "often"}, 400),
        ({"action": "pause", "entry": "nothing"}, 404),
        ({"action": "run"}, 404),
        ({"action": "pause", "entry": "a\x00b"}, 400),
    ],
)
def test_nonsense_is_refused(sarah, sent, status):
    assert sarah.post("/schedules/", sent).status_code == status
    assert sarah.put("/schedules/").status_code == 405


def test_many_entries_are_found_and_turned_over(sarah):
    current_app.conf.beat_schedule = {f"entry{number:03}": {"task": DEMO, "schedule": 10} for number in range(60)}
    assert len(page(sarah)) == 26 and "60 entries, page 1 of 3" in page(sarah)[""]
    assert list(page(sarah, "?page=3"))[1] == "entry050"
    assert list(page(sarah, "?q=TRY059")) == ["", "entry059"]
    for query in ("?q=nothing", "?page=99", "?page=x&q=%ff"):
        page(sarah, query)


def test_the_command_says_the_same(worker, capsys):
    call_command("schedules")
    told = capsys.readouterr().out
    assert "report: every weekday at 06:30, Europe/Berlin → tasks.tasks.demo_task" in told
    assert "! No task is called shop.gone" in told and told.count("  next ") == 10
    call_command("schedules", "often")
    assert "report" not in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no entry nothing"):
        call_command("schedules", "nothing")


def test_the_doctor_says_what_comes_next_and_what_is_wrong(worker):
    assert "schedules" in NAMES
    context = Context(Site("http", "127.0.0.1", 8001, "localhost"))
    found = work.schedules(context)
    assert (found.status, found.hint) == ("failed", "python manage.py schedules")
    assert "bad: schedule must be" in found.detail and "gone: No task" in found.detail
    for name in ("bad", "gone"):
        del current_app.conf.beat_schedule[name]
    found = work.schedules(context)
    assert found.status == "ok" and found.detail.startswith("2 entries, next often at ")
    row = Schedule.objects.filter(name="often")
    row.update(error="TypeError: no", error_at=timezone.now())
    assert "could not be started: often" in work.schedules(context).detail
    row.update(missed=1, missed_at=timezone.now())
    assert "ticks were missed in the last day: often" in work.schedules(context).detail
    row.update(last_due=timezone.now() - timedelta(minutes=1))
    found = work.schedules(context)
    assert (found.status, found.detail) == ("warning", "1 of 2 entries are overdue: often")
    current_app.conf.beat_schedule = {}
    assert work.schedules(context).status == "ok"


def test_the_metrics_of_ticks(monkeypatch):
    held: dict[tuple[str, ...], float] = {
        ("ticks", "often"): 3,
        ("ticks_missed", "often"): 2,
        ("late", "often", "0.5"): 3,
        ("late_sum", "often"): 1.2,
    }
    monkeypatch.setattr(counts, "read", lambda: held)
    monkeypatch.setattr(beats, "look", lambda client: [])
    samples: dict[tuple[str, str], Any] = {
        (one.name, one.labels.get("entry", "")): one.value for family in metrics.from_redis() for one in family.samples
    }
    assert samples["tasks_ticks_total", "often"] == 3 and samples["tasks_ticks_missed_total", "often"] == 2
    assert samples["tasks_tick_late_seconds_sum", "often"] == 1.2


def test_the_entry_of_the_project_prunes_each_day(settings):
    current_app.conf.beat_schedule = settings.CELERY_BEAT_SCHEDULE
    (one,) = [one for one in outlooks(timezone.now()) if one.entry.name == "prune-ended-runs"]
    assert (one.entry.name, one.entry.words) == ("prune-ended-runs", "every day at 04:20, UTC")
    old = timezone.now() - timedelta(days=31)
    TaskRun.objects.create(
        name=DEMO, queue="celery", state=State.SUCCESS, accepted_at=old, finished_at=old, unfollowed=False
    )
    assert current_app.tasks[one.entry.task]() == 1
