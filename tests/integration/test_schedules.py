"""What fires, when and how often: ten workers, outages, clocks, entries that change. Time is a variable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, current_app, shared_task
from celery.beat import BeatLazyFunc, PersistentScheduler, ScheduleEntry, Scheduler, Service
from celery.schedules import BaseSchedule, crontab
from celery.signals import beat_init
from django.core.checks import run_checks
from django.db import OperationalError, connection

from tasks import runs
from tasks.celery.schedules import CelerySource
from tasks.models import Schedule, State, TaskRun
from tasks.runs import counts
from tasks.schedules import firing
from tasks.schedules.entry import entries
from tasks.schedules.firing import Firing, pause, resume, run_now, tick_id

pytestmark = pytest.mark.django_db

DEMO = "tasks.tasks.demo_task"
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def go(self, **by: float) -> None:
        self.now += timedelta(**by)


class World:
    """Entries, a clock, and workers that look: `rounds` goes on a second at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
        self.clock = Clock()
        self._patch, self._settings = monkeypatch, settings
        self.workers = [Firing(self.clock)]

    def have(self, rules: dict[str, dict[str, Any]] | None = None, **found: Any) -> None:
        """These entries, in the notation of Celery; what is no dict is the schedule of the demo task."""
        given = {
            name.replace("_", "-"): one if isinstance(one, (dict, list)) else {"task": DEMO, "schedule": one}
            for name, one in found.items()
        }
        current_app.conf.beat_schedule = given
        self._settings.TASKS_SCHEDULE_RULES = rules or {}

    def deploy(self, count: int = 1) -> None:
        """Other processes, which know nothing of the times before."""
        self.workers = [Firing(self.clock) for _ in range(count)]

    def look(self) -> None:
        for worker in self.workers:
            worker.look()

    def rounds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.look()
            self.clock.go(seconds=1)
        self.look()


@pytest.fixture
def world(monkeypatch, settings) -> Iterator[World]:
    monkeypatch.setattr(firing, "RELOAD_EVERY", 0.0)
    before = current_app.conf.beat_schedule
    yield World(monkeypatch, settings)
    current_app.conf.beat_schedule = before


def fired(name: str = "one") -> list[str]:
    """The times of the entry that have a run, in their order."""
    found = TaskRun.objects.filter(periodic=name).order_by("tick").values_list("tick", flat=True)
    return [f"{tick:%H:%M:%S}" for tick in found if tick is not None]


def row(name: str = "one") -> Schedule:
    return Schedule.objects.get(name=name)


# --- once -------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_workers_fire_sixty_ticks_sixty_times_whoever_of_them_dies(world):
    world.have(one=timedelta(seconds=1))
    world.deploy(10)
    world.look()
    for number in range(60):
        world.clock.go(seconds=1)
        first = world.workers.pop(number % len(world.workers))
        if number % 3 == 0:  # it dies after its look; another begins
            first.look()
            first = Firing(world.clock)
        world.workers.append(first)
        world.look()
    assert len(fired()) == len(set(fired())) == 60
    assert TaskRun.objects.count() == 60
    assert TaskRun.objects.filter(owner=None, session_key="").count() == 60


def test_a_worker_that_dies_between_taking_a_tick_and_storing_its_run_takes_both_with_it(world, monkeypatch):
    world.have(one=timedelta(seconds=10))
    world.deploy(2)
    world.look()
    world.clock.go(seconds=10)
    with monkeypatch.context() as broken:
        broken.setattr(runs.accepting, "_accept", Killed.now)
        with pytest.raises(Killed):
            world.workers[0].look()
    assert not fired()
    world.workers[1].look()
    assert fired() == ["12:00:10"]


class Killed(BaseException):
    @classmethod
    def now(cls, *_: object, **__: object) -> None:
        raise cls


def test_a_database_that_is_away_at_a_tick_loses_none(world, monkeypatch):
    world.have(one=timedelta(seconds=10))
    world.look()
    world.clock.go(seconds=10)
    with monkeypatch.context() as away:
        away.setattr(runs.accepting, "_accept", Away.now)
        away.setattr(runs.accepting, "reconnect", lambda: False)
        with pytest.raises(OperationalError):
            world.look()
    world.rounds(1)
    assert fired() == ["12:00:10"]


class Away:
    @staticmethod
    def now(*_: object, **__: object) -> None:
        raise OperationalError("the server closed the connection")


@pytest.mark.django_db(transaction=True)
def test_ten_threads_that_look_at_the_same_moment_store_one_run(world):
    world.have(one=timedelta(seconds=10))
    world.deploy(10)
    world.look()
    world.clock.go(seconds=10)
    together = threading.Barrier(10)
    done: list[Firing] = []

    def look(worker: Firing) -> None:
        together.wait(10)
        for _ in range(300):
            try:
                worker.look()
            except OperationalError:  # SQLite's one writer in memory does not wait for its turn: a second later, again
                time.sleep(0.01)
            else:
                done.append(worker)
                break
        connection.close()

    threads = [threading.Thread(target=look, args=(worker,)) for worker in world.workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 10
    assert TaskRun.objects.count() == 1


# --- nobody was there -------------------------------------------------------------------------------------------------

#: By rule: what fires of an entry each minute after ten minutes without a worker, and how many were missed.
AFTER_TEN_MINUTES: dict[str, tuple[list[str], int]] = {
    "newest": (["12:11:00"], 9),
    "all": ([f"12:{minute:02}:00" for minute in range(2, 12)], 0),
    "none": ([], 10),
}


@pytest.mark.parametrize("restart", [True, False], ids=["new worker", "a worker that was stopped"])
@pytest.mark.parametrize("rule", AFTER_TEN_MINUTES)
def test_an_outage_of_ten_minutes(world, rule, restart):
    world.have(one=crontab(), rules={"one": {"catch_up": rule}})
    world.rounds(65)
    assert fired() == ["12:01:00"]
    world.clock.go(minutes=10, seconds=5)  # it is 12:11:10
    if restart:
        world.deploy(2)
    world.rounds(40)
    late, missed = AFTER_TEN_MINUTES[rule]
    assert fired() == ["12:01:00", *late]
    assert row().missed == missed
    world.rounds(20)
    assert fired()[-1] == "12:12:00"


def test_ticks_a_second_apart_that_are_only_late_are_not_missed(world):
    world.have(one=timedelta(seconds=1), rules={"one": {"catch_up": "none"}})
    world.look()
    world.clock.go(seconds=9)
    world.look()
    assert len(fired()) == 9 and row().missed == 0


@pytest.mark.slow
def test_a_year_of_seconds_is_caught_up_with_in_no_time_and_all_of_many_in_slices(world):
    world.have(one=timedelta(seconds=1), two=timedelta(minutes=1), rules={"two": {"catch_up": "all"}})
    world.look()
    Schedule.objects.filter(name="one").update(last_due=NOON - timedelta(days=365))
    world.clock.go(minutes=250)
    world.deploy()
    world.look()
    assert fired("one") == ["16:10:00"]
    assert len(fired("two")) == 100
    world.rounds(2)
    assert len(fired("two")) == 250 and row("two").missed == 0


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_that_jumps_ahead_an_hour_is_an_outage_of_an_hour(world):
    world.have(one=crontab())
    world.rounds(61)
    world.clock.go(hours=1)
    world.rounds(60)
    assert fired() == ["12:01:00", "13:01:00", "13:02:00"]


@pytest.mark.parametrize("restart", [True, False])
def test_a_clock_that_is_set_back_an_hour_stops_nothing_and_repeats_nothing(world, restart):
    world.have(one=crontab())
    world.rounds(181)
    assert fired() == ["12:01:00", "12:02:00", "12:03:00"]
    world.clock.go(hours=-1)
    if restart:
        world.deploy()
    world.rounds(120)
    assert fired() == ["11:04:00", "11:05:00", "12:01:00", "12:02:00", "12:03:00"]
    world.clock.go(minutes=55)
    world.rounds(240)  # through the times that have their runs
    assert len(fired()) == len(set(fired()))
    assert fired()[-2:] == ["12:03:00", "12:04:00"]


def test_half_past_two_in_berlin_fires_once_a_day_through_both_changes(world):
    for day, utc in (("2027-03-27T22:00", ["01:30:00", "00:30:00"]), ("2027-10-30T22:00", ["00:30:00", "01:30:00"])):
        TaskRun.objects.all().delete()
        Schedule.objects.all().delete()
        world.have(one=crontab(minute=30, hour=2), rules={"one": {"timezone": "Europe/Berlin"}})
        world.clock.now = datetime.fromisoformat(day).replace(tzinfo=UTC)
        world.deploy()
        for _ in range(2 * 24 * 12):
            world.look()
            world.clock.go(minutes=5)
        ticks = TaskRun.objects.filter(periodic="one").order_by("tick").values_list("tick", flat=True)
        assert [f"{tick:%H:%M:%S}" for tick in ticks if tick] == utc


# --- entries that change ----------------------------------------------------------------------------------------------


def test_an_entry_with_other_times_begins_anew_and_makes_up_for_nothing(world):
    world.have(one=timedelta(hours=1))
    world.look()
    world.clock.go(minutes=30)
    world.have(one=timedelta(minutes=5))
    world.deploy()
    world.rounds(1)
    assert not fired()
    world.clock.go(minutes=5)
    world.rounds(1)
    assert fired() == ["12:35:00"]


def test_a_renamed_entry_begins_anew_and_a_removed_one_fires_no_more(world):
    world.have(one=timedelta(minutes=1))
    world.rounds(60)
    world.have(two=timedelta(minutes=1))
    world.rounds(60)
    assert fired("one") == ["12:01:00"] and fired("two") == ["12:02:00"]
    world.have()
    world.rounds(70)
    assert TaskRun.objects.count() == 2


def test_what_is_known_of_an_entry_that_is_gone_goes_with_the_old_runs(world):
    world.have(one=timedelta(minutes=1), two=timedelta(minutes=1))
    world.look()
    world.have(one=timedelta(minutes=1))
    Schedule.objects.update(last_due=datetime.now(UTC) - timedelta(days=40))
    firing.forget(timedelta(days=30))
    assert set(Schedule.objects.values_list("name", flat=True)) == {"one"}


def test_while_a_deploy_rolls_the_newer_code_says_when(world):
    world.have(one=timedelta(seconds=20))
    world.look()
    old = world.workers
    world._patch.setattr(firing, "RELOAD_EVERY", 1e9)
    world.have(one=timedelta(seconds=30))
    world.deploy()
    world.look()
    world.workers += old
    world.rounds(65)
    assert fired() == ["12:00:30", "12:01:00"]


class Never(crontab):
    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.day_of_month, self.month_of_year = {31}, {2, 4}


BAD: dict[str, tuple[Any, str]] = {
    "text": ({"task": DEMO, "schedule": "*/5 * * * *"}, "schedule must be seconds, a timedelta, crontab or solar"),
    "never": ({"task": DEMO, "schedule": Never(0, 0)}, "never comes"),
    "zero": ({"task": DEMO, "schedule": 0.0}, "it must have a schedule"),
    "backwards": ({"task": DEMO, "schedule": -5}, "must be 0.1 s or more"),
    "endless": ({"task": DEMO, "schedule": float("inf")}, "must be a number of seconds"),
    "no task": ({"schedule": 5}, "it must have a task"),
    "a list": ([DEMO, 5], "it must be a dict"),
    "a word too many": ({"task": DEMO, "schedule": 5, "argz": (1,)}, "but got argz"),
    "args": ({"task": DEMO, "schedule": 5, "args": "abc"}, "args must be a list or tuple, but got 'abc'"),
    "kwargs": ({"task": DEMO, "schedule": 5, "kwargs": [1]}, "kwargs must be a dict"),
    "options": ({"task": DEMO, "schedule": 5, "options": 3}, "options must be a dict"),
    "n" * 201: ({"task": DEMO, "schedule": 5}, "its name may have 200 characters"),
    "rule": ({"task": DEMO, "schedule": 5}, "catch_up must be one of newest, all, none, but got 'some'"),
    "zone": ({"task": DEMO, "schedule": 5}, "timezone must be one like Europe/Berlin, but got 'Mars'"),
    "jitter": ({"task": DEMO, "schedule": 5}, "jitter must be a number of seconds from 0, but got -1"),
    "alert": ({"task": DEMO, "schedule": 5}, "alert must be True or False"),
    "unknown rule": ({"task": DEMO, "schedule": 5}, "its rules may have catch_up, overlap"),
    "broken": ({"task": DEMO, "schedule": BaseSchedule()}, "does not say when it comes next: NotImplementedError"),
}
BAD_RULES = {
    "rule": {"catch_up": "some"},
    "zone": {"timezone": "Mars"},
    "jitter": {"jitter": -1},
    "alert": {"alert": "yes"},
    "unknown rule": {"overlaps": "skip"},
}


def test_an_entry_that_cannot_be_read_is_an_error_at_start_with_its_name_and_stops_no_other(world):
    world.have({**BAD_RULES, "good": {}}, **{name.replace("-", "_"): one for name, (one, _) in BAD.items()}, good=10)
    told = {str(found.msg) for found in run_checks(tags=["tasks"])}
    assert len(told) == len(BAD)
    for name, (_, why) in BAD.items():
        assert any(f"[{name[:200]!r}]" in text and why in text for text in told), (name, why, told)
    world.rounds(10)
    assert fired("good") == ["12:00:10"]
    assert set(TaskRun.objects.values_list("periodic", flat=True)) == {"good"}


def test_rules_of_an_entry_that_is_not_there_are_an_error_at_start(world):
    world.have({"on": {"overlap": "skip"}}, one=10)
    (found,) = run_checks(tags=["tasks"])
    assert (found.id, found.msg) == ("tasks.E002", "TASKS_SCHEDULE_RULES['on']: no entry has this name.")


def test_an_entry_that_names_an_unknown_task_says_so_stops_no_other_and_is_made_up_for(world):
    world.have(one={"task": "shop.tasks.gone", "schedule": 10}, good=10)
    assert not run_checks(tags=["tasks"])
    assert entries()["one"].problem == "No task is called shop.tasks.gone: is it renamed?"
    world.rounds(30)
    assert fired("good") == ["12:00:10", "12:00:20", "12:00:30"] and not fired("one")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"args": ("a", "b", "c", "d")}, "TypeError"),
        ({"kwargs": {"steps": object()}}, "NotEncodable"),
        ({"options": {"priority": "high"}}, "The option priority must be a number"),
        ({"args": (BeatLazyFunc(lambda: 1 // 0),)}, "ZeroDivisionError"),
    ],
)
def test_a_tick_that_cannot_be_started_says_why_and_stops_no_other(world, given, why):
    world.have(one={"task": "tasks.tasks.long_running_task", "schedule": 10, **given}, good=10)
    world.rounds(20)
    assert why in row().error and row().error_at is not None
    assert not fired("one") and fired("good") == ["12:00:10", "12:00:20"]
    world.have(one={"task": "tasks.tasks.long_running_task", "schedule": 10}, good=10)
    world.rounds(10)
    assert row().error == "" and fired("one") == ["12:00:30"]


# --- as Celery documents it -------------------------------------------------------------------------------------------


def test_arguments_and_options_reach_the_run(world):
    numbers = iter((7, 8))
    world.have(
        one={
            "task": "tasks.tasks.long_running_task",
            "schedule": 10,
            "args": [BeatLazyFunc(lambda: next(numbers))],
            "kwargs": {"delay": 0.5},
            "options": {"queue": "slow", "priority": 3, "expires": 15.0, "headers": {"who": "beat"}},
        }
    )
    world.rounds(20)
    first, second = TaskRun.objects.filter(periodic="one").order_by("tick")
    assert (first.args, second.args, first.kwargs) == ([7], [8], {"delay": 0.5})
    assert (first.queue, first.priority, first.message["options"]["headers"]["who"]) == ("slow", 3, "beat")
    assert first.expires is not None and first.tick == NOON + timedelta(seconds=10)
    assert first.pk == tick_id("one", first.tick)


def test_what_add_periodic_task_adds_fires_as_well(world):
    app = Celery("other", set_as_current=False)
    app.conf.beat_schedule = {"one": {"task": DEMO, "schedule": 10}}
    app.add_periodic_task(crontab(minute=5), app.signature(DEMO), name="two")
    assert set(app.conf.beat_schedule) == {"one", "two"}
    current_app.conf.beat_schedule = app.conf.beat_schedule
    found = {entry.name: entry for entry in CelerySource().entries()}
    assert found["two"].words == "at minute 5 of every hour, UTC" and not found["two"].problem


def test_an_entry_may_be_an_object_of_celerys_own(world):
    world.have(one=crontab())
    current_app.conf.beat_schedule["two"] = ScheduleEntry("two", DEMO, schedule=crontab(minute=1), app=current_app)
    world.rounds(60)
    assert fired("two") == ["12:01:00"]


class Sunrise(BaseSchedule):
    """As `celery.schedules.solar` answers: how long after `now` the next one after `last_run_at` comes."""

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        sunrise = last_run_at.replace(hour=5, minute=41, second=17, microsecond=0)
        while sunrise <= last_run_at:
            sunrise += timedelta(days=1)
        return sunrise - self.now()


def test_solar_and_schedules_of_ones_own_are_asked_when_they_come(world):
    world.have(one=Sunrise())
    world.deploy(2)
    for _ in range(49):
        world.look()
        world.clock.go(hours=1)
    assert fired() == ["05:41:17", "05:41:17"] or row().missed == 0
    assert len(fired()) == 2


@shared_task(name="tests.untracked", tracked=False)  # type: ignore[call-overload]
def untracked() -> None:
    pass


@pytest.mark.django_db(transaction=True)
def test_a_task_without_runs_is_sent_once_a_tick(world, monkeypatch):
    sent: list[tuple[str, bool]] = []

    def send(producer: object, name: str, *_: object, **__: object) -> None:
        sent.append((name, connection.in_atomic_block))  # before its tick is stored, it could be sent twice

    monkeypatch.setattr(current_app.amqp, "send_task_message", send)
    world.have(one={"task": "tests.untracked", "schedule": 10})
    world.deploy(3)
    world.rounds(20)
    assert sent == [("tests.untracked", False)] * 2 and not TaskRun.objects.exists()


# --- rules ------------------------------------------------------------------------------------------------------------


def end_all() -> None:
    for run in TaskRun.objects.exclude(state__in=("SUCCESS", "FAILURE", "REVOKED")):
        runs.cancel(run.pk)


OVERLAPS = {
    "beside": (["12:00:10", "12:00:20", "12:00:30", "12:00:40"], 0),
    "skip": (["12:00:10", "12:00:40"], 2),
    "wait": (["12:00:10", "12:00:30", "12:00:40"], 1),
}


@pytest.mark.parametrize("rule", OVERLAPS)
def test_an_entry_whose_last_run_is_still_active(world, rule):
    world.have(one=timedelta(seconds=10), rules={"one": {"overlap": rule}})
    world.deploy(3)
    world.rounds(32)
    end_all()
    world.rounds(3)
    end_all()
    world.rounds(6)
    assert (fired(), row().skipped) == OVERLAPS[rule]
    assert row().held_due is None


def test_a_tick_that_waits_is_told_and_goes_with_the_end_of_the_run_before_it(world):
    world.have(one=timedelta(seconds=10), rules={"one": {"overlap": "wait", "catch_up": "none"}})
    world.rounds(22)
    assert row().held_due == NOON + timedelta(seconds=20)
    world.clock.go(seconds=5)
    end_all()
    world.look()
    assert fired() == ["12:00:10", "12:00:20"] and row().missed == 0


def test_jitter_is_the_same_in_every_process_and_another_one_each_time(world):
    world.have(one=crontab(), rules={"one": {"jitter": 30}})
    world.deploy(3)
    begun = []
    for _ in range(301):
        before = TaskRun.objects.count()
        world.look()
        if TaskRun.objects.count() > before:
            begun.append(world.clock.now.second)
        world.clock.go(seconds=1)
    assert len(fired()) in (4, 5) and len(set(fired())) == len(begun)
    assert len(set(begun)) > 2 and max(begun) <= 31


# --- staff ------------------------------------------------------------------------------------------------------------


def test_a_paused_entry_fires_nothing_through_deploys_and_makes_up_for_nothing(world):
    world.have(one=timedelta(seconds=10), rules={"one": {"catch_up": "all"}})
    world.rounds(10)
    assert pause("one", "sarah", world.clock.now) and not pause("one", "sarah", world.clock.now)
    world.rounds(20)
    world.deploy(2)
    world.rounds(20)
    assert fired() == ["12:00:10"] and row().paused_by == "sarah"
    assert resume("one", world.clock.now) and not resume("one", world.clock.now)
    world.rounds(10)
    assert fired() == ["12:00:10", "12:01:00"] and row().missed == 0


def test_a_run_by_hand_is_one_of_the_entry_and_no_tick_of_it(world):
    world.have(one=timedelta(seconds=10))
    world.look()
    run_now(entries()["one"])
    run_now(entries()["one"])
    world.rounds(10)
    assert TaskRun.objects.filter(periodic="one").count() == 3 and fired() == ["12:00:10"]


def test_missed_ticks_and_failed_runs_are_told_once_where_the_rule_says_so(world, monkeypatch):
    told: list[tuple[str, str]] = []
    monkeypatch.setattr("tasks.runs.notify.Messenger.send", lambda self, title, body: told.append((title, body)))
    world.have(one=timedelta(seconds=30), two=timedelta(seconds=30), rules={"one": {"alert": True}})
    world.deploy(2)
    world.clock.now = datetime.now(UTC)
    world.look()
    world.clock.go(seconds=30)
    world.look()
    for run in TaskRun.objects.filter(tick__isnull=False):
        runs.claim(run.pk, "w1")
        runs.end(run.pk, State.FAILURE, attempt=1, error={"type": "ValueError", "message": "no luck"})
    TaskRun.objects.update(finished_at=world.clock.now)
    world.rounds(3)
    assert [title for title, _ in told] == ["one: failed"] and "ValueError: no luck" in told[0][1]
    world.clock.go(minutes=5)
    world.rounds(2)
    assert [title for title, _ in told] == ["one: failed", "one: missed"] and told[1][1].startswith("9 ticks of one")


def test_ticks_are_counted_and_how_late_they_were(world, monkeypatch):
    counted: dict[tuple[str, ...], float] = {}

    def add(*words: str, by: float = 1) -> None:
        counted[words] = counted.get(words, 0) + by

    monkeypatch.setattr(counts.counts, "add", add)
    world.have(one=timedelta(seconds=10))
    world.rounds(10)
    world.clock.go(seconds=12)
    world.rounds(1)
    world.clock.go(seconds=60)
    world.rounds(1)
    assert counted["ticks", "one"] == 3 and counted["ticks_missed", "one"] == 5
    assert counted["late_sum", "one"] > 2


# --- a celery beat beside them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", [Scheduler, PersistentScheduler])
def test_a_celery_beat_sends_nothing_that_the_workers_fire(world, scheduler, tmp_path, caplog):
    world.have(one=timedelta(seconds=10))
    service: Any = Service(current_app, scheduler_cls=scheduler, schedule_filename=str(tmp_path / "beat"))
    beat_init.send(sender=service)
    assert "No `celery beat` is needed here: the workers fire one" in caplog.text
    beat = service.scheduler
    for entry in beat.schedule.values():
        beat.apply_entry(entry)
        beat.apply_async(entry)
    assert not TaskRun.objects.exists()
    world.rounds(10)
    assert fired() == ["12:00:10"]
    own = beat.Entry("own", DEMO, schedule=crontab(), app=current_app)
    assert beat.apply_async(own, advance=False).id == TaskRun.objects.get(periodic=None).pk
    beat.close()


# --- the price --------------------------------------------------------------------------------------------------------


def seconds_of(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_a_thousand_entries_cost_a_sweep_nothing_between_their_ticks(world, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(firing, "RELOAD_EVERY", 3.0)
    world.have(**{f"entry{number}": crontab(minute=number % 60, hour=3) for number in range(1000)})
    world.look()
    assert Schedule.objects.count() == 1000
    with django_assert_num_queries(0):
        world.rounds(50)
    world._patch.setattr(firing, "RELOAD_EVERY", 0.0)  # with the question for changes in each of them
    assert seconds_of(lambda: world.rounds(100)) / 100 < 0.005
