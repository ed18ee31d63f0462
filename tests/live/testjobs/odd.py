"""Less usual Celery tasks, for `tests/live/celery_odd_questions.py`, on a bare Celery app and on ours."""

from __future__ import annotations

import json
import os
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from celery import Task, chain, chord, current_app, group, shared_task
from celery.contrib.abortable import AbortableTask
from celery.result import AsyncResult, allow_join_result

from .asked import OrderError, add, fail, total


class KeywordOnly(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(code)
        self.code = code


class WithState(Exception):
    """Its text comes from an attribute."""

    def __init__(self, code: int, text: str = "none") -> None:
        super().__init__(code)
        self.text = text

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.text}"


class Outer:
    class Inner(Exception):
        """A class in a class."""


@shared_task(name="odd.raises")
def raises(what: str) -> None:
    """Raise one of many kinds of exceptions."""
    if what == "keyword only":
        raise KeywordOnly(code=5)
    if what == "with state":
        raise WithState(5, "five")
    if what == "a class in a class":
        raise Outer.Inner("in", 1)
    if what == "a local class":

        class Local(ValueError):
            pass

        raise Local("here", 2)
    if what == "a module that is not there":
        raise type("Gone", (Exception,), {"__module__": "not.there"})("gone", 3)
    if what == "causes":
        try:
            try:
                raise KeyError("first")
            except KeyError as error:
                raise OrderError("second", 2) from error
        except OrderError as error:
            raise ValueError("third") from error
    if what == "a cause that is odd":
        raise ValueError("third") from KeywordOnly(code=6)
    if what == "a group of exceptions":
        raise ExceptionGroup("many", [ValueError(1), KeyError("a")])
    if what == "bad json":
        json.loads("{")
    if what == "bad text":
        b"\xff".decode()
    if what == "no file":
        Path("/not/there").read_text()
    if what == "an object":
        raise ValueError({1, 2})
    if what == "a date":
        raise ValueError(date(2026, 1, 2), Decimal("1.5"))
    if what == "bytes":
        raise ValueError(b"ab")
    if what == "nothing":
        raise ValueError
    if what == "unicode":
        raise ValueError("zwölf\nZeilen €")
    if what == "a class as argument":
        raise TypeError(int, 3)
    if what == "an attribute":
        raise AttributeError("no such", name="x", obj=3)
    if what == "assert":
        raise AssertionError
    if what == "stop":
        raise StopIteration(3)
    if what == "memory":
        raise MemoryError("much")
    if what == "recursion":
        raises.run("recursion")


@shared_task(name="odd.too_often", bind=True, max_retries=1)
def too_often(self: Any, exc: bool) -> None:
    raise self.retry(countdown=0.05, exc=ValueError("again") if exc else None)


@shared_task(name="odd.soft", soft_time_limit=1)
def soft() -> None:
    time.sleep(20)


@shared_task(name="odd.hard", time_limit=1)
def hard() -> None:
    time.sleep(20)


@shared_task(name="odd.same")
def same(value: Any = None) -> Any:
    return value


@shared_task(name="odd.wait_for")
def wait_for(gate: str) -> str:
    until = time.monotonic() + 30
    while not Path(gate).exists() and time.monotonic() < until:
        time.sleep(0.01)
    return "waited"


@shared_task(name="odd.waits_inside", bind=True)
def waits_inside(self: Any, how: str) -> Any:
    """Ask for a result within a task."""
    result: Any = add.delay(2, 3)
    if how == "plainly":
        return result.get(timeout=15)
    if how == "allowed":
        with allow_join_result():
            return result.get(timeout=15)
    if how == "of a group":
        return group(add.s(1, 1), add.s(2, 2))().get(timeout=15, disable_sync_subtasks=False)
    return result.get(timeout=15, disable_sync_subtasks=False)


@shared_task(name="odd.replaced", bind=True)
def replaced(self: Any, kind: str) -> Any:
    kinds: dict[str, Any] = {
        "map": total.map([[1, 2], [3]]),
        "starmap": add.starmap([(1, 2), (3, 4)]),
        "chunks": add.chunks([(1, 2), (3, 4)], 1).group(),
        "chain of a group": chain(group(add.s(1, 1), add.s(2, 2)), total.s(), add.s(1)),
        "chord with a chain": chord([add.s(1, 1), add.s(2, 2)], chain(total.s(), add.s(1))),
        "chord of chains": chord([chain(add.s(1, 1), add.s(1)), add.s(2, 2)], total.s()),
        "empty group": group(),
        "group that fails": group(add.s(1, 1), fail.si()),
        "group in a group": group(group(add.s(1, 1)), add.s(2, 2)),
        "replaced": replaced.s("map"),
        "a task with a link": add.s(1, 1).set(link=add.s(1)),
    }
    return self.replace(kinds[kind])


@shared_task(name="odd.adds_to_chord", bind=True)
def adds_to_chord(self: Any) -> int:
    self.add_to_chord(add.s(10, 10))
    return 1


@shared_task(name="odd.context", bind=True)
def context(self: Any) -> dict[str, Any]:
    """What a task may ask of its own request; times and names of machines left out."""
    request = self.request
    info = request.delivery_info
    return {
        "id": request.id == request.correlation_id,
        "root": request.root_id == request.id,
        "parent": request.parent_id,
        "group": (request.group is not None, request.group_index),
        "retries": request.retries,
        "args": [list(request.args), request.kwargs],
        "delivery": [info.get("exchange"), info.get("routing_key"), info.get("priority"), info.get("redelivered")],
        "reply_to": bool(request.reply_to),
        "limits": list(request.timelimit or ()),
        "eta, expires": [bool(request.eta), bool(request.expires)],
        "origin": "@" in (request.origin or ""),
        "reprs": [request.argsrepr, request.kwargsrepr],
        "eager, directly": [request.is_eager, request.called_directly],
        "ignore_result": request.ignore_result,
        "chain, chord": [request.chain, request.chord],
        "callbacks": [request.callbacks, request.errbacks],
        "shadow": request.shadow,
        "stamps": [request.stamped_headers, request.stamps],
        "nesting": request.replaced_task_nesting,
        "mine": (request.headers or {}).get("mine"),
        "app_id": (request.properties or {}).get("app_id"),
        "utc": request.utc,
    }


class Handlers:
    """Each handler leaves a line."""

    request: Any

    def note(self, what: str) -> None:
        with Path(self.request.kwargs["trace"]).open("a") as file:
            file.write(what + "\n")

    def before_start(self, *_: Any) -> None:
        self.note("before_start")

    def on_success(self, *_: Any) -> None:
        self.note("on_success")

    def on_failure(self, exc: Any, *_: Any) -> None:
        self.note(f"on_failure {exc!r}")

    def on_retry(self, exc: Any, *_: Any) -> None:
        self.note(f"on_retry {type(exc).__name__}")

    def after_return(self, status: str, retval: Any, *_: Any) -> None:
        self.note(f"after_return {status} {retval!r}"[:60])


def _handle(self: Any, how: str, trace: str) -> str:
    if how == "fails":
        raise ValueError("no")
    if how == "retries" and not self.request.retries:
        raise self.retry(countdown=0.05)
    if how == "replaces":
        raise self.replace(add.s(1, 1))
    return "done"


class HandledByCelery(Handlers, Task):
    """Based on Celery's own class."""

    abstract = True


class Handled(Handlers, current_app.Task):  # type: ignore[name-defined]  # made by the app
    """Based on the app's own class."""

    abstract = True


handled = shared_task(name="odd.handled", base=Handled, bind=True)(_handle)
handled_by_celery = shared_task(name="odd.handled_by_celery", base=HandledByCelery, bind=True)(_handle)


@shared_task(name="odd.abortable", base=AbortableTask, bind=True)
def abortable(self: Any, gate: str) -> str:
    Path(gate).touch()
    until = time.monotonic() + 8
    while time.monotonic() < until:
        if self.is_aborted():
            return "aborted"
        time.sleep(0.02)
    return "never aborted"


@shared_task(name="odd.plain", base=Task)
def plain(one: int, two: int) -> int:
    return one + two


@shared_task(name="odd.plain_fail", base=Task)
def plain_fail() -> None:
    raise OrderError("no", 1)


@shared_task(name="odd.tells", bind=True)
def tells(self: Any, gate: str) -> str:
    self.update_state(state="HALF", meta={"n": 1})
    Path(gate).touch()
    until = time.monotonic() + 20
    while not Path(gate + "-on").exists() and time.monotonic() < until:
        time.sleep(0.01)
    self.update_state(meta=[1, "two"])
    Path(gate + "-two").touch()
    while not Path(gate + "-end").exists() and time.monotonic() < until:
        time.sleep(0.01)
    return "told"


@shared_task(name="odd.nested")
def nested() -> Any:
    return group(add.s(1, 1), add.s(2, 2))()


@shared_task(name="odd.result_of")
def result_of(task_id: str) -> str:
    return str(AsyncResult(task_id).state)


@shared_task(name="odd.unspeakable")
def unspeakable() -> Any:
    return object()


@shared_task(name="odd.pid")
def pid() -> int:
    return os.getpid()


@shared_task(name="odd.leaves")
def leaves(path: str, what: Any) -> None:
    with Path(path).open("a") as file:
        file.write(f"{what}\n")


@shared_task(name="odd.other_wait")
def other_wait(gate: str) -> str:
    return str(wait_for.run(gate))
