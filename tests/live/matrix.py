"""Each way in which a run can end × each thing that can wait for it: started, acted on, and printed as JSON.

python -m tests.live.matrix FOLDER POOL     in a stack's environment
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.live.settings")

import django

django.setup()

# ruff: noqa: E402 - the models come after Django
from celery import chain, chord, group, signature
from django.db import connection

from django_starter.celery import app
from tasks import runs
from tasks.models import FINAL, TaskRun

from .testjobs import ends

#: Seconds within which all must have ended, from the last action on.
WITHIN = 40.0


@dataclass(frozen=True, slots=True)
class Way:
    """How a run ends: the state, and how often its body is begun. `act` is done to it from outside."""

    state: str
    bodies: int = 1
    act: str = ""
    pools: tuple[str, ...] = ("prefork", "threads", "gevent", "solo")


PREFORK = ("prefork",)
MANY = ("prefork", "threads", "gevent")
WAYS: dict[str, Way] = {
    "result": Way("SUCCESS"),
    "error": Way("FAILURE"),
    "unpicklable": Way("FAILURE"),
    "own_failure": Way("FAILURE"),
    "ignore": Way("REVOKED"),
    "reject": Way("FAILURE"),
    "requeue": Way("SUCCESS", 2),
    "replace": Way("SUCCESS"),
    "replace_by_failure": Way("FAILURE"),
    "replace_by_chain": Way("SUCCESS"),
    "replace_by_group": Way("SUCCESS"),
    "replace_by_chord": Way("SUCCESS"),
    "replace_in_transaction": Way("SUCCESS"),
    "retry": Way("SUCCESS", 2),
    "retry_in_transaction": Way("SUCCESS", 2),
    "retry_for_ever": Way("FAILURE", 2),
    "die": Way("FAILURE", 3, pools=PREFORK),
    "die_once": Way("SUCCESS", 2, pools=PREFORK),
    "exit": Way("FAILURE", 3),
    "base_exception": Way("FAILURE", 3),
    "memory": Way("FAILURE"),
    "object": Way("FAILURE"),
    "huge": Way("FAILURE"),
    "surrogate": Way("FAILURE"),
    "left_open": Way("FAILURE", pools=("prefork", "threads", "solo")),
    "left_atomic_open": Way("FAILURE", pools=("prefork", "threads", "solo")),
    "soft": Way("FAILURE", pools=PREFORK),
    "hard": Way("FAILURE", pools=PREFORK),
    "nap": Way("REVOKED", act="cancel", pools=MANY),
    "same_word": Way("REVOKED", act="cancel", pools=MANY),
    "deaf": Way("REVOKED", act="cancel", pools=PREFORK),
    "terminated": Way("REVOKED", act="terminate", pools=PREFORK),
    "cancelled": Way("REVOKED", 0, act="cancel at once"),
    "revoked": Way("REVOKED", 0, act="revoke"),
    "expired": Way("REVOKED", 0),
    "unknown": Way("FAILURE", 0),
}
#: What waits, and for whom.
WAITING = ("next", "third", "body", "body_over_chains", "group", "callback", "errbacks", "child")


def ending(how: str, folder: Path) -> Any:
    """The signature of the run that ends so."""
    where = str(folder)
    if how in ("soft", "hard"):
        return getattr(ends, how).si(folder=where)
    if how == "unknown":
        return signature("testjobs.nobody_knows", kwargs={"folder": where}, immutable=True, app=app)
    if how in ("cancelled", "revoked", "expired"):
        options: dict[str, Any] = {"countdown": 3600 if how == "cancelled" else 2}
        if how == "expired":
            options["expires"] = 1
        return ends.end.si(how="result", folder=where).set(**options)
    if how == "terminated":
        how = "deaf"
    return ends.end.si(how=how, folder=where)


def compose(how: str, waiting: str, folder: Path) -> dict[str, Any]:
    """Start it; ids of the run that ends, and of those that wait, by role."""
    one = ending(how, folder)

    def follower(role: str) -> Any:
        return ends.follower.s(folder=str(folder), role=role)

    if waiting == "next":
        last: Any = chain(one, follower("next")).apply_async()
        return {"end": last.parent.id, "waiting": {"next": last.id}}
    if waiting == "third":
        last = chain(one, ends.good.s(), follower("third")).apply_async()
        return {"end": last.parent.parent.id, "waiting": {"second": last.parent.id, "third": last.id}}
    if waiting == "body":
        body: Any = chord([one, ends.good.s()])(follower("body"))
        return {"end": body.parent.results[0].id, "waiting": {"body": body.id}}
    if waiting == "body_over_chains":
        body = chord([chain(ends.good.si(), one), chain(ends.good.si(), ends.good.s())])(follower("body"))
        return {"end": body.parent.results[0].id, "waiting": {"body": body.id}}
    if waiting == "group":
        result: Any = group(one, ends.good.s()).apply_async()
        result.save()
        return {"end": result.results[0].id, "waiting": {}, "beside": result.results[1].id}
    if waiting == "callback":
        return {"end": one.apply_async(link=follower("callback")).id, "waiting": {}}
    if waiting == "errbacks":
        errbacks = [ends.old_errback.s(folder=str(folder)), ends.new_errback.s(folder=str(folder))]
        return {"end": one.apply_async(link_error=errbacks).id, "waiting": {}}
    return {"end": one.apply_async().id, "waiting": {}}


def act(how: str, task_id: str) -> bool:
    """Do to the run what its way says; False if it is too early."""
    what = WAYS[how].act
    state = TaskRun.objects.values_list("state", flat=True).get(pk=task_id)
    if what == "cancel at once":
        return runs.cancel(task_id)
    if what == "revoke":
        app.control.revoke(task_id)
        return True
    if state == "PENDING":
        return False
    if what == "cancel":
        return runs.cancel(task_id)
    app.control.revoke(task_id, terminate=True, signal="SIGKILL")
    return True


def run(folder: Path, hows: Iterable[str]) -> dict[str, Any]:
    """All of them; what became of each."""
    cases = {}
    for how in hows:
        for waiting in WAITING:
            key = f"{how}-{waiting}"
            cases[key] = compose(how, waiting, folder / key)
    todo = {key: case["end"] for key, case in cases.items() if WAYS[key.split("-")[0]].act}
    until = time.monotonic() + 240
    while todo and time.monotonic() < until:
        for key in [key for key, task_id in todo.items() if act(key.split("-")[0], task_id)]:
            del todo[key]
        time.sleep(0.2)
    ids = [one for case in cases.values() for one in (case["end"], *case["waiting"].values())]
    ids += [case["beside"] for case in cases.values() if "beside" in case]
    until, left = time.monotonic() + WITHIN, len(ids)
    while time.monotonic() < until:
        now = sum(
            TaskRun.objects.filter(pk__in=ids[at : at + 200], state__in=FINAL).count() for at in range(0, len(ids), 200)
        )
        if len(ids) - now < left:  # as long as something happens
            left, until = len(ids) - now, time.monotonic() + WITHIN
        if not left and not TaskRun.objects.exclude(state__in=FINAL).exists():
            break
        connection.close()
        time.sleep(0.2)
    rows = rows_of(ids)
    told = {}
    for key, case in cases.items():
        traces = {path.name: len(path.read_text().splitlines()) for path in (folder / key).glob("*") if path.is_file()}
        told[key] = {
            "end": shown(rows.get(case["end"])),
            "waiting": {role: shown(rows.get(pk)) for role, pk in case["waiting"].items()},
            "beside": shown(rows.get(case.get("beside", ""))),
            "traces": traces,
        }
    left_over = list(TaskRun.objects.exclude(state__in=FINAL).values_list("pk", "name", "state", "held", "after"))
    table = {how: asdict(way) for how, way in WAYS.items()}
    return {"cases": told, "left": left_over, "never_acted_on": sorted(todo), "table": table}


def rows_of(ids: list[str]) -> dict[str, TaskRun]:
    slices = [ids[at : at + 200] for at in range(0, len(ids), 200)]
    return {row.pk: row for some in slices for row in TaskRun.objects.filter(pk__in=some)}


def shown(run: TaskRun | None) -> dict[str, Any] | None:
    return (
        None
        if run is None
        else {"state": run.state, "error": run.error, "attempt": run.attempt, "lost": run.lost, "id": run.pk}
    )


if __name__ == "__main__":
    place, pool, *only = Path(sys.argv[1]), *sys.argv[2:]
    print(json.dumps(run(place, [how for how, way in WAYS.items() if pool in way.pools and how in (only or WAYS)])))
