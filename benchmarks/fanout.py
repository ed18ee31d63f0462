"""One task, a crowd of viewers, one web process: `python benchmarks/fanout.py [--viewers 1000 2000 5000]`

The worker calls 50 times a second, so that 20 updates a second are told. Every time is from the publish to the
viewer. The peer is the bare relay with the same crowd.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from dataclasses import dataclass

import psutil
from lab import Lab, Report, cpu_seconds, many_files, median, percentile, show
from load import Crowd, run, wait_for

#: Calls a second in the worker; publishes a second of the relay's publisher.
CALLS, RELAYED = 50, 20
#: viewers → server → seconds that p99 may be. For more viewers the age of what is shown is bound, whatever the server.
P99 = {1000: {"uvicorn": 0.060, "daphne": 0.250}, 2000: {"uvicorn": 0.120, "daphne": 0.900}}
STALENESS = 1.5
#: server → times the relay's CPU a message that ours may be, with 1,000 viewers.
CPU = {"uvicorn": 3.0, "daphne": 7.0}


@dataclass
class Seen:
    """What one crowd saw."""

    p50: float
    p99: float
    age: float  # the oldest that anybody was shown, in seconds
    delivered: float  # percent
    final: int
    cpu: float  # µs of the server a message
    server_load: float  # of one core
    client_load: float


def main() -> int:
    """Run it and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--viewers", type=int, nargs="+", default=[1000, 2000])
    options.add_argument("--servers", nargs="+", default=["uvicorn", "daphne"], choices=["uvicorn", "daphne"])
    options.add_argument("--seconds", type=float, default=6.0)
    given = options.parse_args()
    many_files(3 * max(given.viewers) + 1000)
    report = Report("fanout.py: one task, many viewers, one web process")
    with Lab() as lab:
        lab.start_worker()
        for count in given.viewers:
            relay = _relay(lab, count, given.seconds)
            _row(report, f"{count:,} viewers, the relay", None, relay)
            for server in given.servers:
                ours = _ours(lab, server, count, given.seconds)
                name = f"{count:,} viewers, {server}"
                _row(report, name, ours, relay)
                report.exactly(f"{name}: last frame is the final state", ours.final, count)
                if count in P99:
                    bound = P99[count][server] * 1000
                    report.at_most(f"{name}: p99", ours.p99 * 1000, bound, "ms", f"{relay.p99 * 1000:.1f} ms")
                else:
                    report.at_most(f"{name}: oldest state shown", ours.age, STALENESS, "s", f"{relay.age:.2f} s")
                ratio = ours.cpu / relay.cpu
                bound = CPU[server] if count == 1000 else None
                report.row(
                    f"{name}: server CPU a message",
                    f"{ours.cpu:.1f} µs",
                    f"{relay.cpu:.1f} µs",
                    f"{ratio:.2f} ×",
                    "" if bound is None else f"≤ {bound:g} ×",
                    None if bound is None else ratio <= bound,
                )
    return report.print()


def _row(report: Report, name: str, ours: Seen | None, relay: Seen) -> None:
    def text(seen: Seen) -> str:
        return (
            f"{seen.p50 * 1000:.0f} / {seen.p99 * 1000:.0f} ms, {show(seen.age)} s, {seen.delivered:.0f} %, "
            f"{seen.server_load:.0%}, {seen.client_load:.0%}"
        )

    what = f"{name}: p50 / p99, oldest shown, delivered, load of the server and of the viewers"
    report.row(what, text(ours) if ours else "", text(relay) if ours is None else "")


def _ours(lab: Lab, server: str, count: int, seconds: float) -> Seen:
    web = lab.start_web(server)
    gate = lab.gate("fanout")
    task_id = lab.start("speak", gate=str(gate), seconds=seconds, rate=CALLS)
    seen = run(_watch(Crowd(*lab.socket(task_id)), count, gate, web.pid, seconds))
    lab.stop(web)
    return seen


def _relay(lab: Lab, count: int, seconds: float) -> Seen:
    relay, url = lab.start_relay()
    gate = lab.gate("relay")
    publisher = lab.publisher(gate, seconds, RELAYED)
    seen = run(_watch(Crowd(url), count, gate, relay.pid, seconds))
    lab.stop(publisher)
    lab.stop(relay)
    return seen


async def _watch(crowd: Crowd, count: int, gate: os.PathLike[str], pid: int, seconds: float) -> Seen:
    await crowd.connect(count)
    refused = sum(viewer.refused for viewer in crowd.viewers)
    assert not refused, f"{refused} of {count} were refused"
    await asyncio.sleep(1.5)  # the joins and their first comparison are connect.py's business
    server, client = psutil.Process(pid), psutil.Process()
    with open(gate, "w"):
        pass
    began, server_before, client_before = time.monotonic(), cpu_seconds(server), cpu_seconds(client)
    await crowd.measure(lambda: not crowd.all_final, seconds + 10)
    took = time.monotonic() - began
    server_used, client_used = cpu_seconds(server) - server_before, cpu_seconds(client) - client_before
    await wait_for(lambda: crowd.all_final, 3)
    crowd.close()
    return Seen(
        p50=median(crowd.tells),
        p99=percentile(crowd.tells, 99),
        age=max(crowd.ages),
        delivered=crowd.delivered(),
        final=sum(viewer.final for viewer in crowd.viewers),
        cpu=server_used / crowd.messages * 1e6,
        server_load=server_used / took,
        client_load=client_used / took,
    )


if __name__ == "__main__":
    sys.exit(main())
