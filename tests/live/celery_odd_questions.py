"""Less usual questions to AsyncResult, GroupResult and tasks: `celery_questions` asks them too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from celery import chain, chord, group
from celery.exceptions import TimeoutError
from celery.result import AsyncResult, GroupResult, ResultSet, result_from_tuple

from tests.waiting import wait_until

from .testjobs import asked as _asked
from .testjobs import odd as _odd

#: Celery's tasks take less, or more, than their types say: that is asked as well.
asked: Any = _asked
odd: Any = _odd

SECONDS = float(os.environ.get("QUESTION_SECONDS", "20"))
Ask = Callable[[str, Callable[[], Any]], None]

EXCEPTIONS = (
    *("keyword only", "with state", "a class in a class", "a local class", "a module that is not there"),
    *("causes", "a cause that is odd", "a group of exceptions", "bad json", "bad text", "no file", "an object"),
    *("a date", "bytes", "nothing", "unicode", "a class as argument", "an attribute", "assert", "stop"),
    "recursion",
)
REPLACED = (
    *("map", "starmap", "chunks", "chain of a group", "chord with a chain", "chord of chains", "empty group"),
    *("group that fails", "group in a group", "replaced", "a task with a link"),
)
#: Replacements of a chord's part after which Celery never starts its body.
LOST_IN_A_CHORD = ("chain of a group", "chord with a chain")


def ask_all(ask: Ask, app: Any, folder: Path) -> None:
    """All of them."""
    exceptions(ask)
    canvases(ask)
    results(ask, app, folder)
    tasks(ask, app, folder)


def shown(error: Any) -> Any:
    """Class, arguments, text and causes."""
    cause = error.__cause__
    if cause is not None and type(cause).__name__ == "_RemoteTraceback":
        cause = None
    found = (type(error).__module__, type(error).__qualname__, error.args, str(error))
    return found if cause is None else (*found, shown(cause))


def got(result: Any, **more: Any) -> Any:
    """The value, or the exception in full."""
    try:
        return result.get(timeout=SECONDS, **more)
    except Exception as error:
        return shown(error)


def called(task: Any, *args: Any) -> Any:
    """What comes of it."""
    return got(task.delay(*args))


def pause(seconds: float) -> Any:
    """None, in a line of answers."""
    time.sleep(seconds)


def touch(path: Path) -> Any:
    """None, in a line of answers."""
    path.touch()


def afterwards(result: Any) -> Any:
    """What is left of a failure."""
    return (result.state, type(result.result).__name__, result.traceback is not None)


def exceptions(ask: Ask) -> None:
    for what in EXCEPTIONS:
        result: Any = odd.raises.delay(what)
        ask(f"raises {what}", partial(got, result))
        ask(f"raises {what}, afterwards", partial(afterwards, result))
    ask("raises, not raised", lambda: got(odd.raises.delay("nothing"), propagate=False))
    ask("retried too often", lambda: got(odd.too_often.delay(False))[1])
    ask("retried too often, with an exception", lambda: got(odd.too_often.delay(True)))
    ask("a soft limit", lambda: got(odd.soft.delay()))
    ask("a hard limit", lambda: got(odd.hard.delay()))
    values: list[Any] = [
        datetime(2026, 1, 2, tzinfo=UTC),
        {"a": (1, 2)},
        None,
        "",
        0,
        [[]],
        float("inf"),
        b"ab",
        {1: 2},
        {"zero": 1, "a": 2, "aa": 3},
        1e16,
    ]
    for number, value in enumerate(values):
        ask(f"value {number}", partial(called, odd.same, value))


def canvases(ask: Ask) -> None:
    add, total, fail, same = asked.add, asked.total, asked.fail, odd.same
    forms: dict[str, Callable[[], Any]] = {
        "group in a group": lambda: group(group(add.s(1, 1), add.s(2, 2)), add.s(3, 3))(),
        "group of chains": lambda: group(chain(add.s(1, 1), add.s(1)), chain(add.s(2, 2), add.s(2)))(),
        "chain in a chord in a chain": lambda: chain(
            add.s(1, 1), chord([chain(add.s(2), add.s(3)), add.s(4)], total.s()), add.s(10)
        )(),
        "chord in a chord": lambda: chord([chord([add.s(1, 1), add.s(2, 2)], total.s()), add.s(3, 3)], total.s())(),
        "chord whose body is a chord": lambda: chord([add.s(1, 1)], chord([same.s(), same.s()], same.s()))(),
        "chord whose body is a group": lambda: chord([add.s(1, 1), add.s(2, 2)], group(total.s(), same.s()))(),
        "chord of one": lambda: chord([add.s(1, 1)], total.s())(),
        "chord of a group in a group": lambda: chord(group(group(add.s(1, 1), add.s(2, 2)), add.s(3, 3)), same.s())(),
        "chain that ends in a group": lambda: chain(add.s(1, 1), group(add.s(1), add.s(2)))(),
        "chain of groups": lambda: chain(group(add.s(1, 1), add.s(2, 2)), group(total.s(), total.s()))(),
        "chain in a chain": lambda: chain(chain(add.s(1, 1), add.s(1)), chain(add.s(1), add.s(1)))(),
        "empty group": lambda: group()(),
        "empty chain": lambda: chain()(),
        "empty chord": lambda: chord([], total.s())(),
        "empty group in a chain": lambda: chain(add.s(1, 1), group([]), add.s(1))(),
        "chunks as a group": lambda: add.chunks([(1, 1), (2, 2), (3, 3)], 2).group()(),
        "chunks in a chord": lambda: chord(add.chunks([(1, 1), (2, 2), (3, 3)], 2).group(), same.s())(),
        "starmap in a chain": lambda: chain(add.starmap([(1, 1), (2, 2)]), total.s())(),
        "map in a group": lambda: group(total.map([[1], [2, 3]]), add.s(1, 1))(),
        "starmap that fails": lambda: add.starmap([(1, 1), (1, "a")]).delay(),
        "group in a group that fails": lambda: group(group(add.s(1, 1), fail.s()), add.s(3, 3))(),
        "chord in a chord that fails": lambda: chord(
            [chord([fail.s(), add.s(2, 2)], total.s()), add.s(1, 1)], total.s()
        )(),
        "chord whose body fails": lambda: chord([add.s(1, 1)], fail.s())(),
        "chain whose group fails": lambda: chain(add.s(1, 1), group(fail.s(), add.s(1)), total.s())(),
        "chord that adds a part": lambda: chord([odd.adds_to_chord.s(), add.s(1, 1)], total.s())(),
        "immutable": lambda: chain(add.si(1, 1), add.si(2, 2))(),
        "with a link": lambda: add.apply_async((1, 1), link=add.s(5)),
        "a partial of keywords": lambda: chain(add.s(1, two=2), same.s())(),
        "a generator": lambda: group(add.s(n, n) for n in range(3))(),
        "a big group": lambda: group(add.s(n, n) for n in range(30))(),
        "a group times two": lambda: (
            add.s(1, 1) | group(add.s(1), add.s(2)) | group(total.s(), total.s()) | total.s()
        )(),
        "group.skew": lambda: group(add.s(n, n) for n in range(2)).skew(0.05, 0.1, 0.05)(),
        "a pipe of a chord": lambda: (group(add.s(1, 1), add.s(2, 2)) | total.s() | group(add.s(1), add.s(2)))(),
    }
    for name, make in forms.items():
        ask(name, partial(made, make))
    for kind in REPLACED:
        ask(f"replaced by {kind}", partial(called, odd.replaced, kind))
        ask(f"replaced by {kind}, in a chain", partial(called, chain(odd.replaced.s(kind), same.s())))
        if kind not in LOST_IN_A_CHORD:
            ask(f"replaced by {kind}, in a chord", partial(called, chord([odd.replaced.s(kind)], same.s())))


def made(make: Callable[[], Any]) -> Any:
    """What comes of what it makes."""
    return got(make())


def tree(result: Any, depth: int = 0) -> Any:
    """Values, and those of the children."""
    if isinstance(result, GroupResult):
        return [tree(one, depth + 1) for one in result.results or ()]
    return (result.result, [tree(one, depth + 1) for one in result.children or ()] if depth < 6 else "…")


def raised(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def results(ask: Ask, app: Any, folder: Path) -> None:
    add, fail = asked.add, asked.fail
    links: Any = chain(add.s(1, 1), add.s(2), add.s(3))()
    ask("chain", lambda: got(links))
    first = links.parent.parent
    ask("chain, its parents", lambda: (links.parent.parent.parent, links.parent.get(), first.get()))
    ask("chain, its tree", lambda: tree(first))
    ask("chain, collect", lambda: [value for _, value in first.collect(timeout=SECONDS)])
    ask("chain, get_leaf", lambda: first.get_leaf())
    ask("chain, graph", lambda: (len(first.graph), len(links.graph)))
    ask("chain, iterdeps", lambda: [parent is not None for parent, _ in first.iterdeps()])
    ask("chain, as_tuple", lambda: again(links, app).parent.parent.get(timeout=SECONDS))
    ask("chain, as_list", lambda: len(links.as_list()))
    ask("chain, build_graph", lambda: len(list(first.build_graph(intermediate=True))))
    ask("chain, forgotten", lambda: (links.forget(), AsyncResult(first.id).state, AsyncResult(links.id).state))

    linked: Any = add.apply_async((1, 1), link=[add.s(5), add.s(6)])
    ask("linked", lambda: (got(linked), pause(1), sorted(child.get(timeout=SECONDS) for child in linked.children)))
    nested: Any = odd.nested.delay()
    ask("a group as a value", lambda: result_from_tuple(got(nested), app).get(timeout=SECONDS))
    ask("a group as a value, children", lambda: sorted(tree(nested)[1][0]))

    gate = folder / "odd-gate"
    held: Any = odd.wait_for.delay(str(gate))
    more: Any = group(add.s(1, 1), odd.wait_for.s(str(gate)))()
    wait_until(lambda: held.state == "STARTED", SECONDS)  # before, neither app knows more of it than of a waiting one
    ask("runs", lambda: (held.ready(), held.successful(), held.failed(), held.result and type(held.result).__name__))
    ask("runs, traceback", lambda: (held.traceback, held.children, held.date_done))
    ask("runs, too short", lambda: raised(lambda: held.get(timeout=0.1)))
    ask("runs, on_interval", lambda: raised(lambda: held.get(timeout=0.3, interval=0.1, on_interval=lambda: None)))
    ask("a running group", lambda: (more[0].get(timeout=SECONDS), more.completed_count(), more.ready(), more.waiting()))
    ask("a running group, too short", lambda: raised(lambda: more.get(timeout=0.1)))
    ask("a running group, successful, failed", lambda: (more.successful(), more.failed()))
    gate.touch()
    ask("has run", lambda: (got(held), got(more)))
    ask(
        "a group, its parts",
        lambda: [len(more), more.children is more.results, more.parent, bool(more), list(more) == more.results],
    )
    ask("a group, equal", lambda: (more == GroupResult(more.id, more.results), more == held, held == held.id))
    ask("a group, as_tuple", lambda: result_from_tuple(more.as_tuple(), app).get(timeout=SECONDS))
    ask("a group, unknown", lambda: GroupResult.restore("nobody-knows"))
    ask("a group, forgotten", lambda: (more.forget(), [AsyncResult(one.id).state for one in more.results]))
    mixed: Any = group(add.s(1, 1), fail.s(), add.s(2, 2))()
    ask("mixed", lambda: got(mixed))
    wait_until(mixed.ready, SECONDS)  # the first failure was raised while others may have been at it
    ask("mixed, counted", lambda: (mixed.completed_count(), mixed.ready(), mixed.failed(), mixed.successful()))
    ask("mixed, joined", lambda: [type(one).__name__ for one in mixed.join(timeout=SECONDS, propagate=False)])
    ask("mixed, maybe_throw", lambda: raised(lambda: mixed.maybe_throw()))
    heard: list[Any] = []
    ask(
        "mixed, callback",
        lambda: (mixed.get(timeout=SECONDS, propagate=False, callback=lambda i, v: heard.append(v)), len(heard)),
    )
    some: Any = ResultSet([add.delay(1, 1), add.delay(2, 2)])
    ask("a set", lambda: (some.get(timeout=SECONDS), some.join(timeout=SECONDS), some.join_native(timeout=SECONDS)))
    ask("a set, changed", lambda: (some.add(some[0]), len(some), some.discard(some[1]), len(some), some.clear()))
    then: list[Any] = []
    ask(
        "then",
        lambda: (
            (r := add.delay(4, 4)).then(lambda one: then.append(one.id == r.id)) is not None,
            got(r),
            pause(0.5),
            then,
        ),
    )
    done: Any = add.delay(1, 1)
    ask(
        "done",
        lambda: (got(done), done.get(), str(done) == done.id, hash(done) == hash(done.id), done.id in repr(done)),
    )
    ask(
        "done, meta",
        lambda: sorted(key for key in done._get_task_meta() if key not in ("worker", "parent_id", "group_id")),
    )
    ask("done, of the backend", lambda: (app.backend.get_state(done.id), app.backend.get_result(done.id)))
    ask("done, no wait", lambda: done.get(timeout=0))
    ask("done, forgotten, asked", lambda: (done.forget(), raised(lambda: AsyncResult(done.id).get(timeout=0.3))))
    failed: Any = fail.delay()
    ask("failed, forgotten", lambda: (got(failed), failed.forget(), AsyncResult(failed.id).state))
    late: Any = add.apply_async((1, 1), countdown=20)
    late.revoke()
    ask("revoked", lambda: (got(late), late.state, type(late.result).__name__, late.successful(), late.failed()))
    ask("revoked, not raised", lambda: type(late.get(propagate=False, timeout=SECONDS)).__name__)
    gone: Any = add.apply_async((1, 1), expires=datetime.now(UTC) - timedelta(seconds=5))
    ask("expired", lambda: (got(gone), gone.state))
    parts: Any = group(add.s(1, 1), add.s(2, 2)).apply_async(countdown=20)
    parts.revoke()
    ask("a revoked group", lambda: got(parts))
    deaf: Any = odd.wait_for.delay("/not/there")
    ask("terminated", lambda: (_until(deaf, "STARTED"), deaf.revoke(terminate=True), got(deaf), deaf.state))
    ask("a name nobody knows", lambda: type(app.send_task("odd.nobody", (1,)).id).__name__)
    ask("no id", lambda: raised(lambda: AsyncResult(None)))  # type: ignore[arg-type]  # what is asked
    ask(
        "with a timeout of its own",
        lambda: raised(lambda: AsyncResult("nobody").get(timeout=0.05)) == TimeoutError.__name__,
    )


def _until(result: Any, state: str) -> str:
    until = time.monotonic() + SECONDS
    while result.state != state and time.monotonic() < until:
        time.sleep(0.02)
    return str(result.state)


def _there(path: Path) -> bool:
    until = time.monotonic() + SECONDS
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return path.exists()


def again(result: Any, app: Any) -> Any:
    """Made anew of its tuple."""
    return result_from_tuple(result.as_tuple(), app)


def handled(task: Any, how: str, trace: Path) -> Any:
    """The lines that its handlers have left."""
    found = got(task.delay(how=how, trace=str(trace)))
    until = time.monotonic() + SECONDS
    while how != "replaces" and "after_return" not in trace.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)  # and nothing more comes
    lines = trace.read_text().split("\n")
    # A retry is sent before its handler is called: another process may begin it before that.
    return (found, sorted(lines) if how == "retries" else lines)


def tasks(ask: Ask, app: Any, folder: Path) -> None:
    add, same = asked.add, odd.same
    for how in ("plainly", "allowed", "told", "of a group"):
        ask(f"waits inside, {how}", partial(called, odd.waits_inside, how))
    ask("context", lambda: got(odd.context.delay()))
    ask(
        "context, with options",
        lambda: got(
            odd.context.apply_async(
                priority=3,
                countdown=0.1,
                expires=60,
                time_limit=30,
                soft_time_limit=20,
                headers={"mine": "yes"},
                app_id="me",
                shadow="other",
                argsrepr="ARGS",
                ignore_result=False,
                link=add.s(1, 1).set(immutable=True),
            )
        ),
    )
    ask("context, in a group", lambda: got(group(odd.context.s(), odd.context.s())()))
    for task in (odd.handled, odd.handled_by_celery):
        for how in ("ends", "fails", "retries", "replaces"):
            ask(f"{task.name} {how}", partial(handled, task, how, folder / f"{task.name}-{how}"))
    ask("plain", lambda: got(odd.plain.delay(1, 2)))
    ask("plain, fails", lambda: got(odd.plain_fail.delay()))
    ask("plain, in a chain", lambda: got(chain(odd.plain.s(1, 2), add.s(1), odd.plain.s(1))()))
    ask("plain, in a chord", lambda: got(chord([odd.plain.s(1, 2), add.s(1, 1)], asked.total.s())()))
    ask("plain, as a body", lambda: got(chord([add.s(1, 2), add.s(1, 1)], odd.same.s())()))
    gate = folder / "abort"
    ask("aborted", lambda: ((r := odd.abortable.delay(str(gate))), _there(gate), r.abort(), got(r))[3])
    tell = folder / "tells"
    told: Any = odd.tells.delay(str(tell))
    ask("tells", lambda: (_there(tell), told.state, told.info, told.result, told.ready()))
    Path(f"{tell}-on").touch()
    ask("tells without a state", lambda: (_there(Path(f"{tell}-two")), told.state, told.info))
    Path(f"{tell}-end").touch()
    ask("tells, afterwards", lambda: (got(told), told.state, told.info))
    ask("asked from a task", lambda: got(odd.result_of.delay(told.id)))
    ask("apply", lambda: ((r := add.apply((1, 2))).get(), r.state, r.ready(), type(r).__name__))
    ask("apply, fails", lambda: ((r := asked.fail.apply()).state, got(r), type(r.result).__name__))
    ask("apply, throws", lambda: raised(lambda: asked.fail.apply(throw=True)))
    ask("apply, a canvas", lambda: chain(add.s(1, 1), add.s(1)).apply().get())
    ask("apply, an id of its own", lambda: add.apply((1, 1), task_id="mine-1").id)
    ask("too few arguments", lambda: raised(lambda: add.delay(1)))
    ask("too few arguments, by name", lambda: got(app.send_task("asked.add", (1,))))
    ask("a signature by name", lambda: got(app.signature("asked.add", (1, 2)).delay()))
    ask("a signature as a dict", lambda: got(app.signature(dict(add.s(1, 2))).delay()))
    ask("clone", lambda: got(add.s(1).clone(args=(2,)).delay()))
    own = f"own-{folder.name}"
    ask(
        "an id of its own",
        lambda: (add.apply_async((1, 1), task_id=own).id == own, got(AsyncResult(own))),
    )
    ask("same in a chain of kwargs", lambda: got(chain(same.s(value=3), same.s())()))
