"""What has gone is not kept: no error and no socket lies in a circle for long, and no log is read a thousand times."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import subprocess
import sys
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, cast

import pytest

from progress import tidy as module
from progress.batch import Batch
from progress.held import Held, Since
from progress.inbox import Inbox, Traffic
from progress.reader import Reader
from progress.record import AsyncRecord
from progress.tidy import Tidy
from progress.topic import Topic


class Read:
    """What was read before it failed: ten thousand log lines, say."""


@pytest.fixture
def kept() -> Iterator[list[weakref.ref[Read]]]:
    """What was read, for as long as something keeps it; no circle is looked for meanwhile."""
    gc.collect()
    gc.disable()
    yield []
    gc.enable()


async def fails(kept: list[weakref.ref[Read]]) -> None:
    read = Read()
    kept.append(weakref.ref(read))
    await asyncio.sleep(0)
    raise ConnectionError


async def in_a_batch(kept: list[weakref.ref[Read]]) -> None:
    async def answer(questions: Any) -> Any:
        await fails(kept)

    batch: Batch[int, int] = Batch(answer)
    failed = await asyncio.gather(*(batch.ask(number) for number in range(3)), return_exceptions=True)
    assert [type(one) for one in failed] == [ConnectionError] * 3


async def in_a_batch_of_few_answers(kept: list[weakref.ref[Read]]) -> None:
    async def answer(questions: Any) -> Any:
        read = Read()
        kept.append(weakref.ref(read))
        return [read]

    batch: Batch[int, Read] = Batch(answer)
    failed = await asyncio.gather(batch.ask(1), batch.ask(2), return_exceptions=True)
    assert [type(one) for one in failed] == [ValueError] * 2


async def in_the_admission(kept: list[weakref.ref[Read]]) -> None:
    inbox = Inbox(asyncio.Queue[Any]().get, Traffic())
    with pytest.raises(ConnectionError):
        await inbox.during(fails(kept), for_it_alone=True)
    inbox.close()


async def in_a_socket_that_is_cancelled(kept: list[weakref.ref[Read]]) -> None:
    class Socket(Read):
        async def receive(self) -> Any:
            await asyncio.sleep(3600)

    socket = Socket()
    kept.append(weakref.ref(socket))
    inbox = Inbox(socket.receive, Traffic())
    await inbox.during(asyncio.sleep(0))
    inbox.close()


@pytest.mark.parametrize(
    "way",
    [in_a_batch, in_a_batch_of_few_answers, in_the_admission, in_a_socket_that_is_cancelled],
)
async def test_what_failed_is_not_kept(way: Callable[[Any], Awaitable[None]], kept):
    await way(kept)
    async with asyncio.timeout(5):
        while [one() for one in kept] != [None]:  # a thread may hold it for a moment longer
            await asyncio.sleep(0.01)


async def test_a_thousand_viewers_of_one_page_read_its_log_once():
    class Record:
        asked: list[Any] = []

        async def read_many(self, wanted: Any) -> list[Held]:
            self.asked += wanted
            return [Held(epoch="e", seq=since.seq) for _, since in wanted]

    record = Record()
    reader = Reader(cast(AsyncRecord, record))
    topics = {name: Topic(name, {"id": name, "state": "STARTED", "attempt": 1}, 0.0) for name in "ab"}
    asked = [(name, Since("e", seq)) for seq in (1, 2) for name in "ab" for _ in range(50)]
    read = await asyncio.gather(*(reader.current(topics[name], since) for name, since in asked))
    assert [held.seq for held, complete in read] == [since.seq for _, since in asked]
    assert len(record.asked) == len(set(record.asked)) == 4


class Circle:
    """A socket as a web server leaves it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    calls: list[str] = []
    monkeypatch.setattr(module, "MANY", 10)
    monkeypatch.setattr(module, "LATER", 0.0)
    monkeypatch.setattr(module, "_trim", lambda pad: calls.append("trim"))
    return calls


async def turn() -> None:
    await asyncio.sleep(0.001)
    await asyncio.sleep(0)


async def test_many_sockets_that_have_gone_leave_nothing(calls, kept):
    tidy = Tidy()
    for number in range(10):
        await turn()
        assert calls == [], f"after {number} of them it is not worth while"
        gone = Circle()
        kept.append(cast(Any, weakref.ref(gone)))
        del gone
        tidy.gone()
    assert all(one() is not None for one in kept)
    await turn()
    assert [one() for one in kept] == [None] * 10
    assert calls == ["trim"]


async def test_few_sockets_that_were_sent_much_count_as_many(calls):
    tidy = Tidy()
    tidy.gone(sent=8 * module.MUCH)
    await turn()
    assert calls == []
    tidy.gone()
    tidy.gone()
    await turn()
    assert calls == ["trim"], "once, and the next ones count anew"
    tidy.gone(sent=8 * module.MUCH)
    await turn()
    assert calls == ["trim"]


async def test_a_flood_of_them_costs_a_small_part_of_the_time(calls, monkeypatch):
    tidy = Tidy()
    now = 100.0
    monkeypatch.setattr(tidy, "_loop", clock := Clock(lambda: now))

    def collect() -> None:
        nonlocal now
        now += 0.5
        calls.append("collect")

    monkeypatch.setattr(gc, "collect", collect)
    for _ in range(1_000):
        now += 1.0
        for _ in range(100):
            tidy.gone()
        clock.due()
    assert 0.5 * 1_000 * module.SHARE < 0.5 * calls.count("collect") <= 1_000 * module.SHARE


class Clock:
    """An event loop whose time only the test moves."""

    def __init__(self, time: Callable[[], float]) -> None:
        self.time = time
        self._calls: list[tuple[float, Callable[[], None]]] = []

    def call_at(self, when: float, call: Callable[[], None]) -> None:
        self._calls.append((when, call))

    def due(self) -> None:
        ready = [call for when, call in self._calls if when <= self.time()]
        self._calls = [one for one in self._calls if one[0] > self.time()]
        for call in ready:
            call()


async def test_another_c_library_is_left_alone(calls, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(module, "_trim", module._find_trim())
    module.give_back()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # musl has none
    assert module._find_trim() is None


#: A socket of Daphne as `serve.daphne` starts it, from its handshake to its end; what is printed is left of it.
OF_DAPHNE = """
import asyncio, gc, weakref
from django_starter.serve import daphne
from daphne.http_protocol import HTTPFactory
from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory
from twisted.internet import reactor
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

async def application(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass

loop = reactor._asyncioEventloop
asyncio.set_event_loop(loop)
turn = lambda: loop.run_until_complete(asyncio.sleep(0.05))
server = Server(application, endpoints=["tcp:1"])
server.connections, server.http_factory = {}, HTTPFactory(server)
server.ws_factory = WebSocketFactory(server, server="x")
gc.collect()
gc.disable()
transport = StringTransport()
transport.abortConnection = transport.setTcpNoDelay = lambda *_: None
first = server.http_factory.buildProtocol(None)
first.makeConnection(transport)
lines = ["GET / HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", ""]
first.dataReceived("\\r\\n".join(lines).encode())
turn()
assert b"101" in transport.value(), transport.value()
left = [weakref.ref(first._channel), weakref.ref(first._channel.requests[0]) if first._channel.requests else None,
        weakref.ref(transport.protocol)]
assert type(transport.protocol) is daphne.Protocol
socket, transport.protocol, transport.producer = transport.protocol, None, None  # as a transport of Twisted's own
socket.connectionLost(Failure(ConnectionLost()))
turn()
server.application_checker()
del transport, first, socket
turn()
print([one() for one in left if one is not None and one() is not None])
"""


def test_a_socket_of_daphne_leaves_no_circle():
    done = subprocess.run([sys.executable, "-c", OF_DAPHNE], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
