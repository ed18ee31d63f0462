"""Ticks a second apart, for real: three workers, a `celery beat` beside them, and a kill of the one that fires."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from typing import Any

from tests.waiting import wait_until

from .process import Process
from .stack import ROOT, Stack

ASK = """
import json
from tasks.models import TaskRun
runs = TaskRun.objects.order_by("tick")
told = [(r.tick and r.tick.timestamp(), r.state, r.periodic, r.owner_id, r.args) for r in runs]
print(json.dumps(told))
"""


def ask(stack: Stack) -> list[list[Any]]:
    """Each run of the system: its tick, state, entry, owner and arguments."""
    found: list[list[Any]] = json.loads(stack.shell(ASK))
    return found


def test_a_killed_worker_and_a_celery_beat_lose_no_tick_and_double_none(new_stack, tmp_path):
    stack = new_stack(env={"DJANGO_SETTINGS_MODULE": "tests.live.scheduled_settings"})
    stack.start(workers=3, concurrency=1)
    command = [sys.executable, "-m", "celery", "-A", "django_starter", "beat", "-s", str(tmp_path / "beat")]
    beat = Process(
        "beat", command, cwd=ROOT, ready=lambda: "No `celery beat` is needed" in beat.log(), **stack._process("beat")
    )
    stack.processes.append(beat)
    beat.start()
    stack.shell(
        "from tasks.models import Schedule; from django.utils import timezone\n"
        "from tasks.schedules.firing import pause; pause('paused', 'sarah', timezone.now())"
    )

    seen: dict[str, int] = {}

    def fired(count: int) -> bool:
        for name, worker in stack.workers.items():
            seen[name] = worker.log(whole=True).count("Accepted testjobs.echo")
        return sum(seen.values()) >= count

    wait_until(lambda: fired(12), 40, lambda: f"workers fire: {seen}")
    before = dict(seen)
    victim = max(seen, key=lambda name: seen[name])  # the one that was first most often
    stack.workers[victim].kill()
    wait_until(lambda: fired(sum(before.values()) + 12), 60, lambda: f"workers fire: {before} then {seen}")

    def ended() -> bool:
        runs[:] = [run for run in ask(stack) if run[2] == "each-second"]
        return [run[1] for run in runs].count("SUCCESS") >= 16

    runs: list[list[Any]] = []
    wait_until(ended, 30, lambda: f"ticks end: {runs}", every=0.5)
    ticks = [run[0] for run in runs]
    assert [round(later - tick, 3) for tick, later in pairwise(ticks)] == [1.0] * (len(ticks) - 1)
    assert {(run[3], *run[4]) for run in runs} == {(None, "tick")}
    everything = ask(stack)
    assert {run[2] for run in everything} <= {"each-second", "paused"}  # nothing came from the beat
    assert beat.alive
    told = stack.manage("schedules")
    assert "each-second: every second" in told and "It is paused since" in told
