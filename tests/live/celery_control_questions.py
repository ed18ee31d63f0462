"""What a worker hears, tells and does: signals, `control` and `inspect`, queues, limits. Asked as `celery_questions`.

The worker asked has one process and the queues `special` and `video`; another has `celery` and `recycled`, and a new
process after two tasks.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from celery import chain, chord, group
from celery.utils.nodenames import worker_direct

from .celery_odd_questions import Ask, got, pause, touch
from .testjobs import asked as _asked
from .testjobs import odd as _odd

#: Celery's tasks take less, or more, than their types say: that is asked as well.
asked: Any = _asked
odd: Any = _odd

#: The worker of these questions.
NODE = "special@test"
#: Of each pair both are heard, the second maybe late: from another thread, on a machine that has other things to do.
PAIRS = (("before_task_publish", "after_task_publish"), ("task_prerun", "task_postrun"))


def ask_all(ask: Ask, app: Any, folder: Path) -> None:
    """All of them, the end of the worker as the last one."""
    signals(ask, app)
    inspect(ask, app, folder)
    queues(ask, app, folder)
    limits(ask, app, folder)
    control(ask, app)


def special(signature: Any) -> Any:
    return signature.set(queue="special")


def lines(*task_ids: str) -> list[list[str]]:
    """What was heard of these tasks: by several processes at once, so in no order."""
    found = [json.loads(line) for line in Path(os.environ["HEARD"]).read_text().splitlines()]
    return sorted([one[0], *one[2:]] for one in found if one[1] in task_ids)


def settled(*task_ids: str, last: str = "task_postrun", times: int = 1) -> Any:
    """`lines`, once the last of them has come and none lacks the other of its pair, and a moment for any more."""
    until = time.monotonic() + 8
    while time.monotonic() < until:
        heard = [one[0] for one in lines(*task_ids)]
        pairs = [pair for pair in PAIRS if last not in pair[:1]]  # who asks for the first one has a task that runs
        if heard.count(last) >= times and all(heard.count(one) <= heard.count(other) for one, other in pairs):
            break
        time.sleep(0.02)
    time.sleep(0.15)
    return lines(*task_ids)


def heard_of(signature: Any, *, last: str = "task_postrun", times: int = 1, **options: Any) -> Any:
    result = signature.apply_async(queue="special", **options)
    return settled(result.id, last=last, times=times)


def signals(ask: Ask, app: Any) -> None:
    hear: dict[str, Callable[[], Any]] = {
        "ends": lambda: heard_of(asked.add.s(1, 1)),
        "fails": lambda: heard_of(asked.fail.s()),
        "no JSON": lambda: heard_of(odd.unspeakable.s()),
        "retries": lambda: heard_of(asked.retries.s(), times=2),
        "retries too often": lambda: heard_of(odd.too_often.s(True), times=2),
        "ignores": lambda: heard_of(asked.ignores.s()),
        "rejects": lambda: heard_of(asked.rejects.s()),
        "requeues": lambda: heard_of(asked.requeues.s(), times=2),
        "is replaced": lambda: heard_of(odd.replaced.s("map"), times=2),
        "ignores its result": lambda: heard_of(asked.silent.s()),
        "expires": lambda: heard_of(asked.add.s(1, 1), expires=-1, last="task_revoked"),
        "a soft limit": lambda: heard_of(odd.soft.s()),
        "a hard limit": lambda: heard_of(odd.hard.s(), last="task_failure"),
        "unknown": lambda: settled(app.send_task("odd.nobody", queue="special").id, last="task_unknown"),
        "too few arguments": lambda: heard_of(app.signature("asked.add", (1,))),
        "of Celery's own class": lambda: heard_of(odd.plain.s(1, 1)),
        "eager": lambda: lines(odd.same.apply((3,)).id),
        "eager, fails": lambda: lines(asked.fail.apply().id),
    }
    for name, call in hear.items():
        ask(f"signals: {name}", call)
    ask("signals: revoked before it begins", lambda: revoked_early(ask))
    ask("signals: terminated", terminated)
    links: Any = chain(special(asked.add.s(1, 1)), special(asked.add.s(1)), special(asked.fail.s()))()
    ids = [links.parent.parent.id, links.parent.id, links.id]
    ask("signals: a chain", lambda: (got(links), settled(*ids, times=3)))
    body: Any = chord([special(asked.add.s(1, 1)), special(asked.add.s(2, 2))], special(asked.total.s()))()
    ask("signals: a chord", lambda: (got(body), settled(body.id)))
    ask("signals: a chord's header", lambda: settled(*(one.id for one in body.parent.results), times=2))
    ask("signals: a rejected message", lambda: rejected(app))


def revoked_early(ask: Ask) -> Any:
    result: Any = asked.add.apply_async((1, 1), countdown=2, queue="special")
    time.sleep(0.2)
    result.revoke()
    return settled(result.id, last="task_revoked")


def terminated() -> Any:
    result: Any = odd.wait_for.apply_async(("/not/there",), queue="special")
    settled(result.id, last="task_prerun")
    result.revoke(terminate=True)
    return settled(result.id, last="task_revoked")


def rejected(app: Any) -> Any:
    before = len(Path(os.environ["HEARD"]).read_text().splitlines())
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish({"no": "task"}, routing_key="special", exchange="")
    until = time.monotonic() + 5
    while time.monotonic() < until:
        found = [json.loads(line) for line in Path(os.environ["HEARD"]).read_text().splitlines()[before:]]
        if any(one[0] == "task_rejected" for one in found):
            break
        time.sleep(0.05)
    return sorted(one[0] for one in found)


def inspect(ask: Ask, app: Any, folder: Path) -> None:
    look = app.control.inspect([NODE], timeout=5)

    def of(method: str, *args: Any) -> Any:
        return (getattr(look, method)(*args) or {}).get(NODE)

    gate = folder / "inspect-gate"
    running: Any = odd.wait_for.apply_async((str(gate),), queue="special")
    settled(running.id, last="task_prerun")
    later: Any = asked.add.apply_async((1, 1), countdown=25, queue="special")
    gone: Any = asked.add.apply_async((1, 1), countdown=25, queue="special")
    app.control.revoke(gone.id)
    ask("inspect: ping", lambda: of("ping"))
    ask(
        "inspect: active",
        lambda: [(one["id"] == running.id, one["name"], len(one["args"]), sorted(one)) for one in of("active")],
    )
    ask("inspect: active, where", lambda: of("active")[0]["delivery_info"]["routing_key"])
    waits_for_its_time = partial(of, "scheduled")
    until = time.monotonic() + 5
    while not waits_for_its_time() and time.monotonic() < until:
        time.sleep(0.1)
    ask("inspect: scheduled", lambda: later.id in [one["request"]["id"] for one in of("scheduled")])
    ask("inspect: scheduled, keys", lambda: sorted(of("scheduled")[0]))
    ask("inspect: reserved", lambda: len(of("reserved")))
    ask("inspect: revoked", lambda: gone.id in of("revoked"))
    ask("inspect: registered", lambda: "asked.add" in of("registered"))
    ask(
        "inspect: registered, with more",
        lambda: [one for one in of("registered", "rate_limit") if one.startswith("asked.add ")],
    )
    ask("inspect: stats", lambda: sorted(of("stats")))
    ask("inspect: stats, counted", lambda: of("stats")["total"]["asked.add"] > 2)
    ask("inspect: stats, pool", lambda: (of("stats")["pool"]["max-concurrency"], of("stats")["prefetch_count"] > 0))
    ask("inspect: active_queues", lambda: sorted(one["name"] for one in of("active_queues")))
    ask("inspect: clock", lambda: of("clock")["clock"] > 0)
    ask("inspect: conf", lambda: of("conf", True)["worker_direct"])
    ask("inspect: report", lambda: "software -> celery" in of("report")["ok"])
    ask(
        "inspect: query_task",
        lambda: [(key == running.id, one[0]) for key, one in of("query_task", running.id).items()],
    )
    ask("inspect: query_task of several", lambda: len(of("query_task", running.id, later.id, "nobody")))
    ask("inspect: memdump", lambda: type(of("memdump")).__name__)
    ask("inspect: nobody", lambda: app.control.inspect(["nobody@test"], timeout=0.3).ping())
    later.revoke()
    gate.touch()
    ask("inspect: afterwards", lambda: (got(running), pause(0.5), of("active")))


def queues(ask: Ask, app: Any, folder: Path) -> None:
    add = asked.add
    ask("queue: custom", lambda: got(add.apply_async((1, 1), queue="special")))
    ask("queue: its name", lambda: got(odd.context.apply_async(queue="special"))["delivery"])
    ask("queue: direct", lambda: got(add.apply_async((1, 1), queue=worker_direct(NODE))))
    ask("queue: direct, where", lambda: got(odd.context.apply_async(queue=worker_direct(NODE)))["delivery"])
    ask("queue: exchange", lambda: got(add.apply_async((1, 1), exchange="media", routing_key="media.cut")))
    ask(
        "queue: exchange, where",
        lambda: got(odd.context.apply_async(exchange="media", routing_key="media.cut"))["delivery"],
    )
    ask("queue: routing key", lambda: got(odd.context.apply_async(routing_key="media.cut", queue="video"))["delivery"])
    ask(
        "queue: of a chord",
        lambda: got(chord([special(add.s(1, 1)), special(add.s(2, 2))], special(asked.total.s()))()),
    )
    ask("queue: of a group", lambda: got(group(add.s(1, 1), add.s(2, 2)).apply_async(queue="special")))
    ask("queue: of a chain", lambda: got(chain(odd.context.s(), odd.same.s()).apply_async(queue="special"))["delivery"])
    gate = folder / "priority-gate"
    order = folder / "priority-order"
    first: Any = odd.wait_for.apply_async((str(gate),), queue="special")
    settled(first.id, last="task_prerun")
    # One is taken by the worker beforehand, whatever its priority: it has one place.
    several = [odd.leaves.apply_async((str(order), n), priority=n, queue="special") for n in (9, 0, 3, 6, 3)]
    gate.touch()
    ask("queue: priorities", lambda: ([got(one) for one in several], order.read_text().split()))
    pids = [odd.pid.apply_async(queue="recycled") for _ in range(5)]
    ask("queue: tasks a child", lambda: len({got(one) for one in pids}) >= 3)


def limits(ask: Ask, app: Any, folder: Path) -> None:
    add = asked.add
    ask("rate limit", lambda: app.control.rate_limit("odd.same", "20/m", destination=[NODE], reply=True, timeout=5))
    some: Any = [odd.same.apply_async((n,), queue="special") for n in range(3)]
    ask("rate limit, the first", lambda: got(some[0]))
    ask("rate limit, the others", lambda: (pause(1), [one.state for one in some[1:]]))
    ask("rate limit, all", lambda: [got(one) for one in some])
    ask("rate limit, none", lambda: app.control.rate_limit("odd.same", 0, destination=[NODE], reply=True, timeout=5))
    ask(
        "rate limit, unknown",
        lambda: app.control.rate_limit("nobody", "1/h", destination=[NODE], reply=True, timeout=5),
    )
    ask(
        "time limit",
        lambda: app.control.time_limit("odd.wait_for", hard=60, soft=1, destination=[NODE], reply=True, timeout=5),
    )
    ask("expires", lambda: got(add.apply_async((1, 1), queue="special", expires=-2)))
    gate = folder / "expires-gate"
    holds: Any = odd.other_wait.apply_async((str(gate),), queue="special")
    settled(holds.id, last="task_prerun")
    short: Any = add.apply_async((1, 1), queue="special", expires=0.5)
    ask("expires in the queue", lambda: (pause(1), touch(gate), got(short), short.state))


def once_idle(tell: Callable[[], Any]) -> Any:
    """What it answers when a pool process has heard, as its worker has, that its last task is over."""
    until = time.monotonic() + 8
    while "processes busy" in repr(answer := tell()) and time.monotonic() < until:
        time.sleep(0.1)
    return answer


def control(ask: Ask, app: Any) -> None:
    tell: Callable[[], dict[str, Any]] = partial(dict, destination=[NODE], reply=True, timeout=5)
    add = asked.add
    ask("control: ping", lambda: app.control.ping([NODE], timeout=5))
    ask("control: add_consumer", lambda: app.control.add_consumer("third", **tell()))
    ask("control: a further queue", lambda: got(add.apply_async((1, 1), queue="third")))
    ask("control: cancel_consumer", lambda: app.control.cancel_consumer("third", **tell()))
    ask("control: pool_grow", lambda: app.control.pool_grow(1, **tell()))
    ask("control: grown", lambda: got(add.apply_async((1, 1), queue="special")))
    ask("control: pool_shrink", lambda: once_idle(lambda: app.control.pool_shrink(1, **tell())))
    ask("control: autoscale", lambda: app.control.autoscale(3, 1, **tell()))
    ask("control: pool_restart", lambda: app.control.pool_restart(**tell()))
    ask("control: disable_events", lambda: app.control.disable_events(**tell()))
    ask("control: enable_events", lambda: app.control.enable_events(**tell()))
    ask("control: heartbeat", lambda: app.control.heartbeat(destination=[NODE]))
    ask("control: revoke", lambda: app.control.revoke(["a"], **tell()))
    ask("control: terminate", lambda: app.control.terminate("c", **tell()))
    ask("control: unknown", lambda: app.control.broadcast("nothing_like_it", **tell()))
    ask("control: still there", lambda: got(add.apply_async((1, 1), queue="special")))
    waiting: Any = [add.apply_async((n, n), queue="nobody") for n in range(3)]
    app.amqp.queues.select_add("nobody")
    ask("control: purge", lambda: app.control.purge())
    ask("control: purged", lambda: [one.state in ("PENDING", "REVOKED") for one in waiting])
    ask("control: shutdown", lambda: app.control.shutdown(destination=[NODE]))
    ask("control: gone", lambda: any(app.control.ping([NODE], timeout=0.4) == [] or pause(0.2) for _ in range(60)))
