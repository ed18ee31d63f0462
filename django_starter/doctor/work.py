"""The workers, what they serve, and whether a task comes back."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from django_starter.celery import app
from progress.format import span
from tasks.models import CLAIMABLE, FINAL, Schedule, State, TaskRun
from tasks.runs.beats import Worker
from tasks.runs.engine import NoEngine, engines, get_engine
from tasks.runs.invariants import RULES, lasting
from tasks.runs.silence import silent
from tasks.runs.waiting import explain, pulse
from tasks.schedules.outlook import outlooks
from tasks.tasks import canary as task

from .context import Context
from .finding import Finding, failed, ok, skipped, warning

#: Seconds that the canary gets for its way.
CANARY = 5.0
#: Seconds between two looks at its row.
LOOK_EVERY = 0.03
#: Workers, or broken rules, that are named in one line.
NAMED = 3
#: Seconds for which a rule must be broken: the sweep repairs what a death has left within about this long.
LASTING = 8.0

#: Missed ticks that are longer ago are no news.
MISSED_WITHIN = timedelta(days=1)
SCHEDULES = "python manage.py schedules"
WORKER_LOG = (
    ".venv/bin/supervisorctl -c supervisord.conf tail services:worker  # has it this code and this DATABASE_URL?"
)


def workers(context: Context) -> Finding:
    """A worker serves each queue that tasks are routed to, or wait in, and what runs tells something."""
    wanted = {(engine.name, queue) for engine in engines() for queue in engine.queues()}
    if context.passed("migrations"):
        wanted |= set(TaskRun.objects.filter(state__in=CLAIMABLE, held=False).values_list("engine", "queue"))
    now = pulse()
    if not now.reachable:
        return failed("Redis does not say who works: it took longer than half a second.", "python manage.py doctor")
    alive = [worker for worker in now.workers if worker.alive]
    if not alive:
        last = min((worker.silent_for for worker in now.workers), default=None)
        text = "" if last is None else f"; the last one was heard {last:.0f} s ago"
        return failed(f"No worker is running{text}.", settings.TASKS_START_WORKER)
    told = ", ".join(_told(worker) for worker in alive[:NAMED])
    told += f" and {len(alive) - NAMED} more" if len(alive) > NAMED else ""
    unserved: dict[str, list[str]] = {}
    for engine, queue in sorted(wanted):
        if not now.serves(queue, engine):
            unserved.setdefault(engine, []).append(queue)
    if unserved:
        which = ",".join(queue for queues in unserved.values() for queue in queues)
        commands = [_start_command(engine, queues) for engine, queues in unserved.items()]
        return failed(f"Nobody serves the queue {which}, only {told}.", "\n".join(commands))
    quiet = silent() if context.passed("migrations") else []
    if quiet:
        names = "; ".join(f"{one.name} {one.run_id} for {span(one.seconds)}" for one in quiet[:NAMED])
        more = f"; and {len(quiet) - NAMED} more" if len(quiet) > NAMED else ""
        several = f"{len(quiet)} running tasks tell" if len(quiet) > 1 else "1 running task tells"
        return warning(f"{told}; {several} nothing: {names}{more}", f"python manage.py where {quiet[0].run_id}")
    return ok(told)


def canary(context: Context) -> Finding:
    """From `.delay()` to SUCCESS."""
    queue = _queue(task)
    if not pulse().serves(queue):
        return skipped(f"no worker serves the queue {queue}")
    began = time.monotonic()
    pk = context.trial.start_canary()
    run = TaskRun.objects.get(pk=pk)
    while run.state not in FINAL and time.monotonic() - began < CANARY:
        time.sleep(LOOK_EVERY)
        run = TaskRun.objects.get(pk=pk)
    took = time.monotonic() - began
    if run.state == State.SUCCESS:
        return ok("accepted, sent, claimed, done", took)
    if run.state in FINAL:
        error = run.error or {}
        return failed(f"A task ended with {run.state}: {error.get('type')}: {error.get('message')}", WORKER_LOG)
    why = explain([run]).get(pk, {}).get("hint") or "It has begun."
    now = [worker for worker in pulse().workers if worker.alive and queue in worker.queues]
    if sum(len(worker.active) for worker in now) >= sum(worker.concurrency for worker in now):
        return warning(
            f"All workers are busy: a task did not begin within {CANARY:g} s. {why}",
            f"{settings.TASKS_START_WORKER} -n second@%h",
        )
    return failed(f"A task did not end within {CANARY:g} s (it is {run.state}). {why}", WORKER_LOG)


def invariants(_: Context) -> Finding:
    """The rules that hold of all runs hold now."""
    began = time.monotonic()
    report = lasting(LASTING)
    took = time.monotonic() - began
    if report.violations:
        told = "; ".join(str(one) for one in report.violations[:NAMED])
        more = f"; and {len(report.violations) - NAMED} more" if len(report.violations) > NAMED else ""
        return failed(f"{told}{more}", WORKER_LOG)
    if report.unknown:
        return skipped(f"{len(report.unknown)} of {len(RULES)} rules cannot be judged: {report.unknown[0]}")
    return ok(f"{len(RULES)} rules hold of all runs", took)


def schedules(_: Context) -> Finding:
    """What starts by itself: every entry can fire, none is late, and few were missed."""
    now = timezone.now()
    found = outlooks(now)
    if not found:
        return ok("no entry in CELERY_BEAT_SCHEDULE")
    wrong = [one for one in found if one.entry.problem]
    if wrong:
        return failed("; ".join(f"{one.entry.name}: {one.entry.problem}" for one in wrong[:NAMED]), SCHEDULES)
    if late := [one for one in found if one.overdue]:
        names = ", ".join(one.entry.name for one in late[:NAMED])
        return warning(f"{len(late)} of {len(found)} entries are overdue: {names}", SCHEDULES)
    coming = sorted((one.coming[0], one.entry.name) for one in found if one.coming and one.paused_at is None)
    told = f"{len(found)} entr{'y' if len(found) == 1 else 'ies'}"
    if coming:
        told += f", next {coming[0][1]} at {coming[0][0]:%a %H:%M:%S %Z}"
    missed = Schedule.objects.filter(missed_at__gt=now - MISSED_WITHIN)
    if lost := list(missed.values_list("name", flat=True)[:NAMED]):
        return warning(f"{told}; ticks were missed in the last day: {', '.join(lost)}", SCHEDULES)
    broken = Schedule.objects.filter(name__in=[one.entry.name for one in found]).exclude(error="")
    if failing := list(broken.values_list("name", flat=True)[:NAMED]):
        return warning(f"{told}; could not be started: {', '.join(failing)}", SCHEDULES)
    return ok(told)


def _told(worker: Worker) -> str:
    return f"{worker.hostname} ({', '.join(worker.queues)}; beat {worker.silent_for:.1f} s ago)"


def _start_command(engine: str, queues: list[str]) -> str:
    """What starts a worker for all of `queues`."""
    try:
        return get_engine(engine).start_command(",".join(queues))
    except NoEngine as error:
        return f"# {error}"


def _queue(task: Any) -> str:
    queue = app.amqp.router.route({}, task.name, task_type=task).get("queue")
    return str(getattr(queue, "name", None) or app.conf.task_default_queue)
