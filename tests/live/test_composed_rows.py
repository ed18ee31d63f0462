"""What was seen to go wrong with composed, refused and overtaken runs, one test each, with real workers."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

from .faults.rows import Rows
from .stack import Stack


@pytest.fixture(scope="module")
def site(make_stack) -> Any:
    """Valkey, database and web server; each test starts the workers that it needs."""
    stack: Stack = make_stack()
    try:
        stack.prepare_database()
        stack.valkey.start()
        stack.start_web()
        yield stack
    finally:
        stack.close()


@pytest.fixture(scope="module")
def table(site) -> Any:
    """Its rows, without a process for each question."""
    rows = Rows(site.env, site.folder)
    yield rows
    rows.close()


@pytest.fixture(autouse=True)
def _no_workers_left(site):
    yield
    for worker in site.workers.values():
        worker.kill()


def asked(stack: Stack, code: str, timeout: float = 120) -> Any:
    """What the last line of code run in a shell says, as JSON."""
    intro = (
        "import json, time; from celery import chain, chord, group; from django_starter.celery import app; "
        "from tasks import runs; from tasks.models import TaskRun, TaskGroup; from tasks.celery import broker; "
        "from tests.live.testjobs import behave, ends, tasks as jobs\n"
    )
    return json.loads(stack.shell(intro + code, timeout=timeout).splitlines()[-1])


def count(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.alone
def test_a_backlog_is_counted_and_never_sent_twice(site):
    """1,000 waiting runs are 1,000 messages, however long their worker is busy."""
    asked(site, "[jobs.echo.delay(n) for n in range(300)]; print(json.dumps(1))")
    assert asked(site, "print(json.dumps(broker.count('celery')))") == 300
    site.start_worker("w1", concurrency=1, args=("-O", "fair"), queues=["another"])
    site.start_worker("w2", concurrency=1, queues=["celery"], env={})
    held = site.start_job("nap", seconds=6)
    time.sleep(6)  # several sweeps
    most = asked(site, "print(json.dumps([broker.count('celery'), TaskRun.objects.filter(state='PENDING').count()]))")
    assert most[0] <= most[1] + 1, most
    site.wait_state(held, "SUCCESS", timeout=60)
    log = site.workers["w1"].log() + site.workers["w2"].log()
    assert "Sent tasks" not in log and " again." not in log


@pytest.mark.alone
def test_a_chord_of_thousands_costs_each_part_the_same(site):
    """A part's end is a decrement; the parts are read once, when the last has ended."""
    site.start_worker("w1", concurrency=2)
    code = """
def took(parts):
    began = time.monotonic()
    body = chord([behave.add.s(n, 1) for n in range(parts)])(behave.total.s())
    while TaskRun.objects.get(pk=body.id).state != "SUCCESS":
        time.sleep(0.1)
    return (time.monotonic() - began) / parts, TaskRun.objects.get(pk=body.id).result
print(json.dumps([took(50), took(600)]))
"""
    small, large = asked(site, code, timeout=300)
    assert small[1] == sum(range(1, 51))
    assert large[1] == sum(range(1, 601))
    assert large[0] < 3 * small[0] + 0.05, (small, large)


def test_a_chord_whose_results_are_too_many_ends_and_says_why(site):
    site.start_worker("w1")
    code = """
body = chord([behave.huge.s(200_000), behave.huge.s(200_000)])(behave.note_all.s())
until = time.monotonic() + 20
while not TaskRun.objects.get(pk=body.id).is_final and time.monotonic() < until:
    time.sleep(0.1)
run = TaskRun.objects.get(pk=body.id)
after = jobs.echo.delay(1)
while not TaskRun.objects.get(pk=after.id).is_final and time.monotonic() < until:
    time.sleep(0.1)
print(json.dumps([run.state, run.error, TaskRun.objects.get(pk=after.id).state]))
"""
    state, error, after = asked(site, code)
    assert (state, after) == ("FAILURE", "SUCCESS")
    assert "262,144 bytes" in error["message"]


@pytest.mark.alone
def test_a_parent_with_two_thousand_children_is_cancelled_at_once(site, table):
    code = """
parent = jobs.nap.delay(seconds=60)
child = runs.Start(name="testjobs.echo", message={}, queue="nowhere", parent_id=parent.id)
TaskRun.objects.bulk_create([child.row(TaskRun.objects.get(pk=parent.id).accepted_at) for _ in range(2000)])
began = time.monotonic()
runs.cancel(parent.id)
took = time.monotonic() - began
late = runs.accept(runs.Start(name="testjobs.echo", message={}, queue="nowhere", parent_id=parent.id))
left = TaskRun.objects.filter(parent_id=parent.id).exclude(state="REVOKED").exclude(pk=late.pk).count()
print(json.dumps([took, left, parent.id]))
"""
    took, left, parent = asked(site, code)
    assert left == 0
    assert took < 5
    site.start_worker("w1")
    unheard = "SELECT count(*) FROM tasks_taskrun WHERE parent_id = ? AND unfollowed"
    wait_until(lambda: table.query(unheard, parent) == [(0,)], 40, "all children's followers have heard")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "Ctrl-C"])
def test_a_plain_end_of_a_worker_waits_for_its_task_and_gives_nothing_back_meanwhile(site, tmp_path, how):
    trace, name = tmp_path / "trace", f"warm-{how.name}"
    site.start_worker(name, env={"REMAP_SIGTERM": ""})
    task = site.start_job("nap", seconds=8, trace=str(trace))
    site.wait_state(task, "STARTED")
    site.workers[name].signal(how)
    site.start_worker("other")
    done = site.wait_state(task, "SUCCESS", "FAILURE", timeout=40)
    assert (done["state"], done["attempt"], count(trace)) == ("SUCCESS", 1, 1)


def test_a_run_that_may_not_begin_twice_does_not_whatever_ends_its_worker(site, table, tmp_path):
    site.start_worker("w1", env={"REMAP_SIGTERM": "SIGQUIT"})
    folder = tmp_path / "once"
    task = asked(site, f"print(json.dumps(ends.once.delay(how='deaf', folder={str(folder)!r}).id))")
    wait_until(lambda: table.run(task)["state"] == "STARTED", 20, "it runs")
    site.workers["w1"].stop()
    site.start_worker("w2")
    wait_until(lambda: table.run(task)["state"] == "FAILURE", 20, "it has ended")
    assert count(folder / "end") == 1


def test_a_retry_into_another_queue_is_one_message_there(site):
    site.start_worker("w1")
    code = """
found = [ends.elsewhere.delay().id for _ in range(5)]
until = time.monotonic() + 15
sent = TaskRun.objects.filter(pk__in=found, state="RETRY", sent_at__isnull=False)
while sent.count() < 5 and time.monotonic() < until:
    time.sleep(0.2)
time.sleep(8)
from tasks.runs.waiting import explain
rows = list(TaskRun.objects.filter(pk__in=found))
reasons = {(row.queue, one["reason"]) for row in rows for one in [explain([row])[row.pk]]}
print(json.dumps([broker.count("elsewhere"), sorted(reasons)]))
"""
    messages, reasons = asked(site, code)
    assert (messages, reasons) == (5, [["elsewhere", "no_worker"]])


def test_a_run_that_cannot_be_sent_stops_no_other(site, table):
    code = """
from tasks.runs import Start
message = {"args": [], "kwargs": {}, "options": {"serializer": "nope"}}
bad = runs.accept(Start(name="testjobs.echo", queue="celery", message=message))
good = [jobs.echo.delay(n).id for n in range(5)]
print(json.dumps([bad.pk, good]))
"""
    bad, good = asked(site, code)
    site.start_worker("w1")
    states = lambda: [table.run(one)["state"] for one in (bad, *good)]  # noqa: E731
    wait_until(lambda: states() == ["FAILURE", *["SUCCESS"] * 5], 30, lambda: f"each has its end: {states()}")
    ((error,),) = table.query("SELECT error FROM tasks_taskrun WHERE id = ?", bad)
    assert "nope" in str(error)


def test_what_celery_runs_in_the_caller_and_what_is_not_tracked_stays_celerys(site, tmp_path):
    site.start_worker("w1")
    trace, local = tmp_path / "untracked", tmp_path / "local"
    code = f"""
result = jobs.echo.apply(args=("here",), kwargs={{"trace": {str(local)!r}}})
body = chord([behave.untracked.s({str(trace)!r}), behave.add.s(1, 2)])(behave.note_all.s())
until = time.monotonic() + 20
while not TaskRun.objects.get(pk=body.id).is_final and time.monotonic() < until:
    time.sleep(0.1)
time.sleep(3)
print(json.dumps([result.get(), TaskRun.objects.filter(pk=result.id).count(), TaskRun.objects.get(pk=body.id).state]))
"""
    assert asked(site, code) == ["here", 0, "SUCCESS"]
    assert (count(trace), count(local)) == (1, 1)
