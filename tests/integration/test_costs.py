"""What a stored run costs, counted: questions to the database and round trips to Redis. One more fails a row.

Counted and not timed, so a busy machine changes nothing. docs/ARCHITECTURE.md says what each of them is for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio.connection
import redis.connection
from celery import current_app
from celery.app.trace import build_tracer
from channels.layers import get_channel_layer
from django.contrib.auth import get_user_model
from django.db import connection, connections
from django.http import HttpRequest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from progress.flusher import Flusher, get_flusher
from progress.held import Since
from progress.hub import Hub
from progress.outbox import Outbox
from progress.record import get_record
from tasks import runs
from tasks.celery.events import start_events
from tasks.models import State, TaskRun
from tasks.runs import sending
from tasks.runs.bounded import pairs
from tasks.runs.missing import Missing
from tasks.runs.owner import VISITOR
from tasks.runs.state import live_states
from tasks.runs.waiting import due
from tasks.tasks import demo_task
from tasks.web.access import Viewer
from tasks.web.feeds import look
from tasks.web.signing_in import take_along

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


@dataclass
class Cost:
    """What was asked, in order."""

    queries: list[str] = field(default_factory=list)
    round_trips: list[bytes] = field(default_factory=list)

    def __iter__(self) -> Iterator[int]:
        yield from (len(self.queries), len(self.round_trips))


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, *, database: bool = True) -> Iterator[Cost]:
    """Queries of this thread, unless it has an event loop, and what any thread sends to Redis.

    Not that of earlier tests' flushers: what they could not tell while Redis was away is told when it is back.
    """
    cost = Cost()
    kinds: list[Any] = [redis.connection.AbstractConnection, redis.asyncio.connection.AbstractConnection]
    sends = {kind: kind.send_packed_command for kind in kinds}

    def counting(kind: Any) -> Any:
        def send(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
            thread = threading.current_thread()
            if thread.name != "progress-flusher" or thread is get_flusher()._thread:
                cost.round_trips.append(b"".join([command] if isinstance(command, bytes) else command)[:200])
            return sends[kind](self, command, *args, **kwargs)

        return send

    with monkeypatch.context() as patch, ExitStack() as stack:
        captured = stack.enter_context(CaptureQueriesContext(connection)) if database else None
        for kind in kinds:
            patch.setattr(kind, "send_packed_command", counting(kind))
        yield cost
        cost.queries = [query["sql"] for query in captured.captured_queries] if captured is not None else []


@pytest.fixture(autouse=True)
def warm(monkeypatch) -> None:
    """Connections are made, scripts are loaded, the flusher is new, and nobody hears the events of starts."""
    monkeypatch.setattr("progress.flusher._flusher", Flusher())
    for name in ("add", "flush"):  # its thread sends when it likes
        monkeypatch.setattr(f"tasks.runs.counts.Counts.{name}", lambda *args, **kwargs: None)
    monkeypatch.setattr(sending, "_rests_until", {})
    run = demo_task.delay()
    get_record().read_many([run.id])
    start_events.heard_by(0)


def started(count: int = 1) -> list[TaskRun]:
    """Runs that work."""
    ids = [demo_task.delay().id for _ in range(count)]
    found = [runs.claim(pk, "w1") for pk in ids]
    return [run for run in found if run is not None]


def test_a_start_is_one_query_and_one_message(monkeypatch):
    with counted(monkeypatch) as cost:
        demo_task.delay()
    assert tuple(cost) == (1, 1), cost


@pytest.mark.slow
def test_a_thousand_starts_at_once_are_few_statements(monkeypatch):
    with counted(monkeypatch) as cost, runs.at_once():
        results = [demo_task.delay() for _ in range(1_000)]
    assert TaskRun.objects.filter(pk__in=[one.id for one in results], sent_at__isnull=False).count() == 1_000
    # BEGIN, the rows (SQLite takes fewer in one statement), COMMIT; two pipelines.
    inserts = [sql for sql in cost.queries if sql.startswith("INSERT")]
    assert len(cost.queries) == len(inserts) + 2, cost
    assert len(inserts) <= (2 if connection.vendor == "postgresql" else 50), len(inserts)
    assert len(cost.round_trips) <= 4, cost.round_trips


def test_a_claim_is_one_statement(monkeypatch):
    run = demo_task.delay()
    with counted(monkeypatch) as cost:
        assert runs.claim(run.id, "w1", timezone.now())
    assert tuple(cost) == (1, 0), cost


def test_an_end_that_nothing_follows_is_one_statement(monkeypatch):
    (run,) = started()
    with counted(monkeypatch) as cost:
        assert runs.end(run.pk, "SUCCESS", attempt=1, result=1, alone=runs.is_alone(run), quietly=True)
    assert tuple(cost) == (1, 0), cost
    run.refresh_from_db()
    assert (run.state, run.result, run.unfollowed) == (State.SUCCESS, 1, False)


def silent(number: int) -> int:
    """Says nothing."""
    return number


@pytest.fixture
def silent_task() -> Iterator[Any]:
    app: Any = current_app
    task = app.task(silent, name="tests.silent")
    yield task
    current_app.tasks.unregister("tests.silent")


def test_a_silent_task_is_two_statements_and_two_frames(monkeypatch, silent_task):
    """All that a pool process does for a message: claim, work, end, and what viewers are told."""
    trace: Any = build_tracer(silent_task.name, silent_task, app=current_app)

    def work() -> Any:
        run = silent_task.delay(7)
        delivery = {"routing_key": "celery", "exchange": "", "priority": 0}
        request = {"id": run.id, "task": silent_task.name, "delivery_info": delivery, "is_eager": False}
        with counted(monkeypatch) as cost:
            result = trace(run.id, (7,), {}, request | {"args": (7,), "kwargs": {}, "called_directly": False})
            assert get_flusher().drain(20)
        assert result.retval is not None
        assert TaskRun.objects.get(pk=run.id).state == State.SUCCESS
        return cost

    work()
    cost = work()
    assert len(cost.queries) == 2, cost.queries
    assert 1 <= len(cost.round_trips) <= 2, cost.round_trips


def test_a_list_of_fifty_that_run_is_one_round_trip(monkeypatch):
    found = started(50)
    for run in found:
        get_record().publish(run.pk, 1, '{"state":"STARTED","attempt":1,"current":3}', [], final=False)
    with counted(monkeypatch) as cost:
        states = live_states(found, {})
    assert [state["current"] for state in states] == [3] * 50
    assert tuple(cost) == (2, 1), cost  # how their parts stand: those that they started, and those of their groups


def test_a_list_is_read_after_redis_has_forgotten_its_scripts(valkey):
    found = started(2)
    get_record().publish(found[1].pk, 1, '{"state":"STARTED","attempt":1,"current":3}', [], final=False)
    with redis.Redis.from_url(valkey) as client:
        client.script_flush()
    assert [state["current"] for state in live_states(found, {})] == [None, 3]


@pytest.mark.parametrize("count", [20, 400])
def test_a_cancel_costs_the_same_with_twenty_children_as_with_four_hundred(monkeypatch, count):
    (parent,) = started()
    with runs.at_once():
        start: Any = demo_task.apply_async
        results = [start(parent_id=parent.pk) for _ in range(count)]
    with counted(monkeypatch) as cost:
        assert runs.cancel(parent.pk)
    children = TaskRun.objects.filter(pk__in=[one.id for one in results])
    assert children.filter(state=State.REVOKED, unfollowed=False).count() == count
    assert len(cost.queries) <= 16, cost.queries
    assert len(cost.round_trips) <= 4, cost.round_trips
    assert [held.changing["state"] for held in get_record().read_many([one.id for one in results])] == [
        "REVOKED"
    ] * count


def test_what_waits_for_a_cancelled_child_still_hears_of_it(monkeypatch):
    """Those that something follows are followed one by one, as before."""
    (parent,) = started()
    signature: Any = demo_task.si()
    first = signature.set(parent_id=parent.pk)
    last = (first | demo_task.si()).apply_async()
    assert runs.cancel(parent.pk)
    assert TaskRun.objects.get(pk=last.id).state == State.REVOKED


@pytest.mark.slow
def test_a_thousand_home_pages_are_one_query_a_look(monkeypatch):
    asked: list[Any] = [(Viewer(session_key=f"s{number}"), "mine") for number in range(1_000)]
    before = look(asked)
    mine, key = TaskRun.objects.get(pk=demo_task.delay().id), "s5"
    with counted(monkeypatch) as cost:
        quiet = look(asked)
    assert len(cost.queries) == 1, cost.queries
    assert all(one is other for one, other in zip(before, quiet, strict=True)), "the very objects of before"
    TaskRun.objects.create(id="new", name=mine.name, queue="celery", session_key=key, accepted_at=timezone.now())
    with counted(monkeypatch) as cost:
        after = look(asked)
    assert len(cost.queries) == 2, cost.queries
    assert after[5] == {"task_ids": ["new"], "more": False}
    assert [number for number in range(1_000) if after[number] is not quiet[number]] == [5]


def test_a_page_that_is_open_elsewhere_shows_what_a_visitor_has_brought_along():
    """Runs that are handed over are not new: whose list they are in is looked up all the same."""
    person: Any = get_user_model().objects.create(username="somebody")
    asked: list[Any] = [(Viewer(user_id=person.pk), "mine"), (Viewer(session_key="another"), "mine")]
    TaskRun.objects.create(
        id="old", name="t", queue="celery", session_key="s", accepted_at=timezone.now() - timedelta(1)
    )
    look(asked)
    assert look(asked)[0] == {"task_ids": [], "more": False}
    request: Any = HttpRequest()
    request.session = {VISITOR: "s"}
    take_along(request=request, user=person)
    assert look(asked)[0] == {"task_ids": ["old"], "more": False}


async def test_a_tick_with_a_thousand_sockets_is_one_round_trip_and_one_query(monkeypatch, valkey):
    monkeypatch.setattr("progress.hub.TICK", 3600)
    monkeypatch.setattr("progress.hub.FEED_EVERY", 3600)
    monkeypatch.setattr("progress.hub.COMPARE_AFTER_JOIN", 3600)

    def elsewhere() -> list[TaskRun]:
        try:
            return started(50)
        finally:
            connections.close_all()

    found = await asyncio.to_thread(elsewhere)
    hub = Hub()

    async def send(_: Any) -> None:
        pass

    for number in range(1_000):
        state: Any = {"id": found[number % 50].pk, "state": "STARTED", "attempt": 1, "current": None, "message": ""}
        await hub.join(Outbox(send, hub.lost, closes_at_end=False), state, Since(log=False))
    asked: list[Any] = []
    refresh = hub.source.refresh

    async def refreshed(task_ids: Any) -> Any:
        asked.append(task_ids)
        return await refresh(task_ids)

    monkeypatch.setattr(hub.source, "refresh", refreshed)
    audiences = list(hub._audiences.values())
    with counted(monkeypatch, database=False) as cost:
        await hub._repair.compare(audiences)
    assert len(cost.round_trips) == 1, cost.round_trips
    for audience in audiences:
        monkeypatch.setattr(type(audience.topic), "is_doubtful", lambda self, now: True)
    await hub._repair.ask_source(audiences)
    assert len(asked) == 1
    assert len(asked[0]) == 50
    await hub.source._in_thread(connections.close_all)
    for task in (hub._ticking, hub._feeding, *hub._background._tasks):
        if task is not None:
            task.cancel()
    layer: Any = get_channel_layer()
    await layer.flush()
    client: Any = hub._repair._reader._record._client
    await client.aclose()
    await client.connection_pool.disconnect()


def test_a_sweep_reads_no_more_rows_where_more_wait(monkeypatch):
    """Of a queue that is served in order nothing is counted: the oldest that wait say that nobody was overtaken."""
    now = timezone.now()
    TaskRun.objects.bulk_create(
        TaskRun(name="t", queue=f"q{number % 3}", accepted_at=now, sent_at=now) for number in range(300)
    )
    waiting = TaskRun.objects.filter(due(timezone.now()), sent_at__isnull=False, queue__startswith="q")
    with counted(monkeypatch) as cost:
        assert pairs(waiting, "queue", "engine") == [("q0", "celery"), ("q1", "celery"), ("q2", "celery")]
    assert len(cost.queries) == 4 + 3 * 2
    missing = Missing()
    TaskRun.objects.create(name="t", queue="q0", accepted_at=now, state=State.STARTED, attempt=1, started_at=now)
    missing.begun()
    with counted(monkeypatch) as cost:
        assert missing.look(("celery", "q0"), waiting.filter(queue="q0"), 100, set(), 500) == []
    assert len(cost.queries) == 1, cost.queries
    assert "COUNT" not in cost.queries[0]
