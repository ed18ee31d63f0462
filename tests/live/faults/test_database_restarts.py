"""PostgreSQL is restarted under programs that are neither a request nor a worker."""

from __future__ import annotations

import time

import pytest

from tests.waiting import wait_until

from .database import Program

#: What a program does again and again. It tells each time how it went, and how long it took.
LOOP = """
from tests.live.testjobs.tasks import echo, nap
from tasks import runs
from tasks.models import TaskRun
from celery import group
from celery.result import AsyncResult, GroupResult
{before}
tell("ready")
while True:
    began = time.time()
    try:
        {act}
        tell("ok", began)
    except Exception as error:
        tell("error", began, type(error).__name__, str(error)[:100].replace(chr(10), " "))
    time.sleep({pause})
"""

#: By name: what comes before, and what is done again and again.
LOOPS = {
    "delay": ("", "echo.delay(1)"),
    "group": ("", "group(echo.s(1), echo.s(2))()"),
    "status": ("one = echo.delay(1).id", "AsyncResult(one).status"),
    "results": (
        "saved = group(echo.s(1), echo.s(2))(); saved.save(); one = saved.id",
        "GroupResult.restore(one).ready()",
    ),
    "cancel": ("", "runs.cancel(nap.apply_async(countdown=600).id)"),
    "again": ("one = TaskRun.objects.get(pk=echo.delay(1).id)", "runs.again(one)"),
    "query": ("", "TaskRun.objects.count()"),
    "transaction": ("from django.db import transaction", "transaction.atomic()(lambda: echo.delay(1))()"),
}

BEAT = """
from django_starter.celery import app
import tests.live.testjobs.tasks, tempfile
app.conf.beat_schedule = {"often": {"task": "testjobs.echo", "schedule": 0.5, "args": [1]}}
app.conf.beat_schedule_filename = tempfile.mktemp()
tell("ready")
app.Beat(loglevel="INFO", max_interval=0.5).run()
"""

WAITER = """
from tests.live.testjobs.tasks import nap
from celery import group
tell("ready")
try:
    found = group(nap.s(seconds=8), nap.s(seconds=7))().get(timeout=60)
    tell("ok", found)
except Exception as error:
    tell("error", repr(error))
"""


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_every_program_works_again_at_once(how, database, new_stack, fault):
    stack = new_stack(env=database.env)
    stack.start(workers=1, concurrency=2)
    fault = fault(f"13{'sk'[how == 'killed']}", f"PostgreSQL is {how} under a beat and eight other programs")
    programs = {
        name: Program(stack, name, LOOP.format(before=before, act=act, pause=0.3 if name != "query" else 0.05))
        for name, (before, act) in LOOPS.items()
    }
    rare = Program(stack, "rare", LOOP.format(before="", act="echo.delay(1)", pause=8))
    beat = Program(stack, "beat", BEAT)
    waiter = Program(stack, "waiter", WAITER)
    everybody = [*programs.values(), rare, beat, waiter]
    for one in everybody:
        one.start(wait=False)
    for one in everybody:
        one.wait_ready(60)
    for one in programs.values():
        one.wait_ok(20)
    sent_before = accepted(database)

    fault.begins()
    database.server.kill() if how == "killed" else database.server.stop()
    wait_until(lambda: fault.seconds > 3, 10)  # the fault itself
    database.server.start()
    wait_until(database.server.answers, 20, every=0.02)
    back = time.time()
    fault.begins()
    slowest = max(one.wait_ok(10) for one in programs.values())
    wait_until(lambda: accepted(database) > sent_before + 20, 15)
    rare.wait_ok(12)
    wait_until(lambda: "Scheduler: Sending due task" in beat.log()[-2000:], 10, beat.log)
    wait_until(lambda: "ok ['rested', 'rested']" in waiter.log(), 60, waiter.log)
    late = {
        one.name: [line for line in one.lines() if line.startswith("error") and float(line.split()[1]) > back]
        for one in (*programs.values(), rare)
    }
    assert not any(late.values()), late
    assert not [line for line in rare.lines() if line.startswith("error")], rare.lines()
    beats_before = beat.log().count("Sending due task")
    wait_until(lambda: beat.log().count("Sending due task") > beats_before + 3, 10)
    assert all(one.alive for one in (*programs.values(), rare, beat))
    fault.took(3, "every program stores again after", slowest)


def accepted(database):
    import psycopg

    with psycopg.connect(database.server.url()) as server:
        return len(server.execute("SELECT 1 FROM tasks_taskrun").fetchall())
