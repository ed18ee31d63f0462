"""What the web process keeps of sockets that were dropped, of a flood, and of resyncs: `python benchmarks/memory.py`

It has no peer: its memory has to come back to what it was after its first `WARM` sockets, also after several rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import struct
import sys
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from functools import partial

import psutil
from lab import Lab, Report, host_and_port, many_files
from load import Crowd, handshake, masked, run

#: Percent by which the process may have grown once all of it is over.
BOUND = 10
#: Lines that the server's log may have after all of it.
LINES = 60
#: Seconds in which its memory has to be back; and in which it may not change any more before something begins. The
#: latter is longer than the time after which the server tidies up, so that what it is compared with is as tidy.
SETTLE, CALM = 20, 6
#: Sockets that are dropped before its memory is weighed for the first time. What the first of each kind bring
#: (connections, threads, caches, the room for as many as come together) is no growth.
WARM = 1_000
#: Sockets that are dropped together.
AT_ONCE = 250
#: Snapshots that one of the sockets asks for: a socket that asks for more is made to wait.
RESYNCS_OF_ONE = 20


def main() -> int:
    """Run it and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--servers", nargs="+", default=["uvicorn", "daphne"], choices=["uvicorn", "daphne"])
    options.add_argument("--sockets", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=3, help="of the dropped sockets")
    options.add_argument("--resyncs", type=int, default=1_000)
    options.add_argument("--seconds", type=float, default=6.0, help="of the flood")
    given = options.parse_args()
    many_files(4_000)
    report = Report(
        f"memory.py: {given.rounds} times {given.sockets:,} joined-and-dropped sockets, {given.seconds:.0f} s of legal "
        f"frames that nobody reads the answers of, {given.resyncs:,} resyncs"
    )
    with Lab() as lab:
        lab.start_worker()
        for server in given.servers:
            web = lab.start_web(server)
            gate = lab.gate("memory")
            gate.touch()
            task_id = lab.start("speak", gate=str(gate), seconds=300, rate=5, log=200)
            url, cookie = lab.socket(task_id)
            weigh = Scales(psutil.Process(web.pid))
            act(drop, url, cookie, WARM)
            flood(url, cookie, 0.5)
            act(resync, url, cookie, RESYNCS_OF_ONE)
            acts: dict[str, Callable[[], object]] = {
                f"{given.sockets:,} sockets that joined and were dropped, time {number}": partial(
                    act, drop, url, cookie, given.sockets
                )
                for number in range(1, given.rounds + 1)
            }
            acts["a flood of legal frames, never read"] = partial(flood, url, cookie, given.seconds)
            acts[f"{given.resyncs:,} resyncs"] = partial(act, resync, url, cookie, given.resyncs)
            before = weigh.settled(0)
            report.row(f"{server}: memory after its first {WARM:,} sockets", f"{before / 1e6:.0f} MB")
            for what, begin in acts.items():
                with weigh.watching():
                    begin()
                after = weigh.settled(before * (1 + BOUND / 100))
                report.row(f"{server}: most memory during {what}", f"{weigh.most / 1e6:.0f} MB")
                report.at_most(
                    f"{server}: more than at first, after {what}", 100 * (after - before) / before, BOUND, "%"
                )
            report.at_most(f"{server}: lines in its log", len(web.log().splitlines()), LINES, "lines")
            lab.stop(web)
    return report.print()


def act(play: Callable[[str, str, int], Coroutine[object, None, None]], url: str, cookie: str, count: int) -> None:
    """Do it in an event loop of its own."""
    run(play(url, cookie, count))


class Scales:
    """The memory of one process."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.most = 0

    def settled(self, goal: float) -> int:
        """Its bytes once they are at most `goal`, or have not changed for `CALM` seconds, or `SETTLE` are over."""
        until, last, since = time.monotonic() + SETTLE, 0, time.monotonic()
        while time.monotonic() < until:
            now = int(self._process.memory_info().rss)
            if now <= goal:
                return now
            if abs(now - last) > 100_000:
                last, since = now, time.monotonic()
            if not goal and time.monotonic() - since > CALM:
                break
            time.sleep(0.2)
        return int(self._process.memory_info().rss)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Meanwhile `most` is kept."""
        over = threading.Event()
        self.most = 0

        def watch() -> None:
            while not over.wait(0.1):
                self.most = max(self.most, int(self._process.memory_info().rss))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        yield
        over.set()
        thread.join()


async def drop(url: str, cookie: str, count: int) -> None:
    """Open sockets and drop them in the middle of joining, `AT_ONCE` at a time."""
    for start in range(0, count, AT_ONCE):
        crowd = Crowd(url, cookie)
        await crowd.connect(min(AT_ONCE, count - start), at_once=AT_ONCE)
        crowd.close()
        await asyncio.sleep(0)


async def resync(url: str, cookie: str, count: int) -> None:
    """Ask for `count` snapshots, over sockets that read."""
    crowd = Crowd(url, cookie)
    await crowd.connect(max(1, count // RESYNCS_OF_ONE))
    await asyncio.sleep(1)
    for _ in range(RESYNCS_OF_ONE):
        for viewer in crowd.viewers:
            if viewer.transport is not None:
                viewer.transport.write(masked(json.dumps({"type": "resync"}).encode()))
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    crowd.close()


def flood(url: str, cookie: str, seconds: float) -> None:
    """Over one list socket, as many legal frames as the server takes; none of its answers is read."""
    ids = [str(uuid.uuid4()) for _ in range(95)]
    payload = json.dumps({"type": "subscribe", "task_ids": ids}).encode()
    frame = bytes((0x81, 0x80 | 126)) + struct.pack("!H", len(payload)) + bytes(4) + payload
    lists = url[: url.index("/ws/progress/") + len("/ws/progress/")]
    with socket.create_connection(host_and_port(url), timeout=1) as plug, contextlib.suppress(OSError):
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        plug.sendall(handshake(lists, cookie))
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                plug.sendall(frame * 16)


if __name__ == "__main__":
    sys.exit(main())
