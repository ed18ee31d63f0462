"""Readers that do not read, beside those that do: `python benchmarks/slow_reader.py`

50 stop reading once they are in; 50 read one byte a second and claim, every five seconds, to have seen everything.
200 good ones watch the same task, which writes 25 log lines of 500 characters a second. The peer is the bare relay,
which buffers whatever is not read.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
from pathlib import Path

import psutil
from lab import Lab, Report, host_and_port, many_files, percentile
from load import Crowd, handshake, masked, run

STOPPED, TRICKLING, GOOD = 50, 50, 200
#: Calls a second, and characters of the log line that goes with each: some 15 kB a second for each viewer.
CALLS, LINE = 25, 500
#: Megabytes that the server may grow by, and seconds in which 99 of 100 updates reach the good ones.
MEMORY, P99 = 20, 0.100


class SlowReader:
    """A socket with hardly any buffer of its own, that is not read or read byte by byte."""

    def __init__(self, url: str, cookie: str) -> None:
        self._address = host_and_port(url)
        self._handshake = handshake(url, cookie)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)

    async def open(self) -> None:
        """Shake hands; whatever comes after that stays unread."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, self._address)
        await loop.sock_sendall(self.socket, self._handshake)
        head = b""
        while b"\r\n\r\n" not in head:
            head += await loop.sock_recv(self.socket, 1)
        assert b" 101 " in head, head

    async def trickle(self) -> None:
        """Read one byte a second; every five, claim to have seen all."""
        pong = masked(json.dumps({"type": "pong", "seq": 999_999}).encode())
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            for second in range(1_000_000):
                await asyncio.sleep(1)
                await loop.sock_recv(self.socket, 1)
                if second % 5 == 4:
                    await loop.sock_sendall(self.socket, pong)


def main() -> int:
    """Run it and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0)
    seconds = options.parse_args().seconds
    many_files(3000)
    report = Report(f"slow_reader.py: {STOPPED} that stop, {TRICKLING} that trickle, {GOOD} good ones, {seconds:.0f} s")
    with Lab() as lab:
        lab.start_worker()
        relay, url = lab.start_relay()
        gate = lab.gate("relay")
        publisher = lab.publisher(gate, seconds, 20, LINE * CALLS // 20)
        peer = run(_watch(Crowd(url), relay.pid, gate, seconds))
        lab.stop(publisher)
        lab.stop(relay)
        for server in ("uvicorn", "daphne"):
            web = lab.start_web(server)
            gate = lab.gate("slow")
            task_id = lab.start("speak", gate=str(gate), seconds=seconds, rate=CALLS, log=LINE)
            grown, p99, final = run(_watch(Crowd(*lab.socket(task_id)), web.pid, gate, seconds))
            lab.stop(web)
            report.at_most(f"{server}: server memory grew by", grown, MEMORY, "MB", f"{peer[0]:.1f} MB")
            report.at_most(f"{server}: p99 of the good ones", p99 * 1000, P99 * 1000, "ms", f"{peer[1] * 1000:.1f} ms")
            report.exactly(f"{server}: good ones that saw the end", final, GOOD)
    return report.print()


async def _watch(good: Crowd, pid: int, gate: Path, seconds: float) -> tuple[float, float, int]:
    """Megabytes that the server grew by, p99 of the good ones in seconds, and how many of them saw the end."""
    server = psutil.Process(pid)
    slow = [SlowReader(good.url, good.cookie) for _ in range(STOPPED + TRICKLING)]
    await good.connect(GOOD)
    for reader in slow:
        await reader.open()
    tasks = [asyncio.ensure_future(reader.trickle()) for reader in slow[STOPPED:]]
    await asyncio.sleep(1.5)
    before = most = server.memory_info().rss
    gate.touch()

    async def weigh() -> None:
        nonlocal most
        while True:
            most = max(most, server.memory_info().rss)
            await asyncio.sleep(0.5)

    tasks.append(asyncio.ensure_future(weigh()))
    await good.measure(lambda: not good.all_final, seconds + 10)
    for task in tasks:
        task.cancel()
    good.close()
    for reader in slow:
        reader.socket.close()
    return (most - before) / 1e6, percentile(good.tells, 99), sum(viewer.final for viewer in good.viewers)


if __name__ == "__main__":
    sys.exit(main())
