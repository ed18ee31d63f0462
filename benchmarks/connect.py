"""A thousand people open the page of a running task at once: `python benchmarks/connect.py`

The peer is the bare relay, whose sockets get nothing when they open: its time is that of the handshakes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import psutil
from lab import Lab, Report, cpu_seconds, many_files, median
from load import Crowd, run, wait_for

#: Seconds until all have their snapshot, with 1,000 sockets.
BOUND = {"uvicorn": 1.2, "daphne": 2.0}
#: Bytes of server memory a socket.
MEMORY = 60_000


def main() -> int:
    """Run it and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sockets", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    many_files(3 * given.sockets + 1000)
    report = Report(f"connect.py: {given.sockets:,} sockets connect while a task runs")
    with Lab() as lab:
        lab.start_worker()
        relay, url = lab.start_relay()
        storms = [run(_storm(Crowd(url), given.sockets, relay.pid)) for _ in range(given.rounds)]
        relayed, relay_cpu = median([one[0] for one in storms]), median([one[2] for one in storms])
        for server, bound in BOUND.items():
            times: list[float] = []
            cpus: list[float] = []
            memory, refused, served = 0.0, 0, 0
            for _ in range(given.rounds):
                web = lab.start_web(server)
                gate = lab.gate("connect")
                gate.touch()
                task_id = lab.start("speak", gate=str(gate), seconds=30, rate=50)
                crowd = Crowd(*lab.socket(task_id))
                seconds, used, cpu = run(_storm(crowd, given.sockets, web.pid, snapshots=True))
                times.append(seconds)
                cpus.append(cpu)
                memory = max(memory, used)
                refused += sum(viewer.refused or viewer.code is not None for viewer in crowd.viewers)
                served += sum(viewer.first > 0 for viewer in crowd.viewers)
                lab.stop(web)
                gate.unlink()
            middle, cpu = median(times), median(cpus)
            report.row(
                f"{server}: all have their snapshot (median of {given.rounds}, worst {max(times):.2f} s)",
                f"{middle:.2f} s",
                f"{relayed:.2f} s",
                f"{middle / relayed:.1f} ×",
                f"≤ {bound:g} s",
                middle <= bound,
            )
            report.row(
                f"{server}: CPU of the server meanwhile",
                f"{cpu:.2f} s",
                f"{relay_cpu:.2f} s",
                f"{cpu / relay_cpu:.1f} ×",
            )
            report.at_most(
                f"{server}: memory of the server a socket", memory / given.sockets / 1000, MEMORY / 1000, "kB"
            )
            report.exactly(f"{server}: not refused, and served", served - refused, given.sockets * given.rounds)
    return report.print()


async def _storm(crowd: Crowd, count: int, pid: int, *, snapshots: bool = False) -> tuple[float, float, float]:
    """Seconds until all are in, the bytes that the server grew by, and the seconds of CPU that it took."""
    if snapshots:  # the first viewer finds the caches cold; the task is watched, as a running one is
        first = await crowd.open()
        await wait_for(lambda: first.first, 10)
        crowd.viewers.clear()
    server = psutil.Process(pid)
    before, cpu_before = server.memory_info().rss, cpu_seconds(server)
    began = time.time()
    opening = asyncio.ensure_future(crowd.connect(count, at_once=count))
    await wait_for(lambda: opening.done() and (not snapshots or all(one.first for one in crowd.viewers)), 20, 0.005)
    firsts = [viewer.first - began for viewer in crowd.viewers if viewer.first]
    seconds = max(firsts, default=20.0) if snapshots else time.time() - began
    cpu = cpu_seconds(server) - cpu_before
    await asyncio.sleep(1)
    used = server.memory_info().rss - before
    crowd.close()
    return seconds, used, cpu


if __name__ == "__main__":
    sys.exit(main())
