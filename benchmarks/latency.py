"""From `progress.set` to the browser: `python benchmarks/latency.py`

A task calls 16 times a second, so that each call is told at once, and 50 times a second, of which 20 are told. The
peers, in the same run: the bare relay, and celery-progress over WebSocket.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from collections.abc import Callable

from lab import Lab, Report, median, percentile
from load import Crowd, run, wait_for

#: Updates a second that each find the flusher at rest, and that are coalesced to 20.
QUIET, BUSY = 16, 50
SERVERS = ("daphne", "uvicorn")


def main() -> int:
    """Run it and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=4.0)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    figures: dict[str, list[float]] = {}
    with Lab() as lab:
        lab.start_worker()
        lab.start_peer_worker()
        _, relay_url = lab.start_relay()
        for _ in range(given.rounds):  # in turns, so that a busy moment of the machine hits all of them
            figures.setdefault("relay", []).extend(_relay(lab, relay_url, given.seconds))
            for server in SERVERS:
                web = lab.start_web(server)
                for rate in (QUIET, BUSY):
                    crowd = _ours(lab, given.seconds, rate)
                    figures.setdefault(f"{server} {rate}", []).extend(crowd.calls)
                    figures.setdefault(f"{server} {rate} told", []).extend(crowd.tells)
                lab.stop(web)
                peer_web, base = lab.start_peer_web(server)
                figures.setdefault(f"{server} peer", []).extend(_peer(lab, base, given.seconds))
                lab.stop(peer_web)
    report = Report("latency.py: call → browser, one viewer")
    relay, peer99 = figures["relay"], {}
    for server in SERVERS:
        peer99[server] = figures[f"{server} peer"]
        ours = figures[f"{server} {QUIET}"]
        _compare(report, f"{server}: p50 / the relay's", ours, relay, lambda a, b: a / b, "≤ 2 ×", lambda r: r <= 2)
        report.at_most(f"{server}: p99", percentile(ours, 99) * 1000, 10, "ms", _ms(percentile(relay, 99)))
        _compare(
            *(report, f"{server}: celery-progress' p50 / ours", ours, peer99[server]),
            *(lambda a, b: b / a, "≥ 3 ×", lambda r: r >= 3),
        )
        busy, told = figures[f"{server} {BUSY}"], figures[f"{server} {BUSY} told"]
        report.row(f"{server}: {BUSY} calls/s, publish → browser, p50 / p99", _both(told), _both(relay))
        report.row(f"{server}: {BUSY} calls/s, with the wait for its turn, p50 / p99", _both(busy))
        report.row(f"{server}: celery-progress over WebSocket, p50 / p99", "", _both(peer99[server]))
    return report.print()


def _compare(
    report: Report,
    what: str,
    ours: list[float],
    peer: list[float],
    ratio: Callable[[float, float], float],
    bound: str,
    holds: Callable[[float], bool],
) -> None:
    value = ratio(median(ours), median(peer))
    report.row(what, _ms(median(ours)), _ms(median(peer)), f"{value:.2f} ×", bound, holds(value))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def _both(values: list[float]) -> str:
    return f"{median(values) * 1000:.2f} / {percentile(values, 99) * 1000:.2f} ms"


def _ours(lab: Lab, seconds: float, rate: float) -> Crowd:
    gate = lab.gate("ours")
    task_id = lab.start("speak", gate=str(gate), seconds=seconds, rate=rate)
    crowd = Crowd(*lab.socket(task_id))

    async def watch() -> None:
        await crowd.connect(1)
        await asyncio.sleep(0.5)
        gate.touch()
        await crowd.measure(lambda: not crowd.all_final, seconds + 10)
        assert crowd.all_final

    run(watch())
    return crowd


def _relay(lab: Lab, url: str, seconds: float) -> list[float]:
    gate = lab.gate("relay")
    publisher = lab.publisher(gate, seconds, QUIET)
    crowd = Crowd(url)

    async def watch() -> None:
        await crowd.connect(1)
        await asyncio.sleep(0.5)
        gate.touch()
        await crowd.measure(lambda: not crowd.all_final, seconds + 10)
        crowd.close()

    run(watch())
    lab.stop(publisher)
    return list(crowd.calls)


def _peer(lab: Lab, base: str, seconds: float) -> list[float]:
    gate = lab.gate("peer")
    task_id = str(uuid.uuid4())
    crowd = Crowd(f"{base}{task_id}")

    async def watch() -> None:
        await crowd.connect(1)
        await asyncio.sleep(0.5)
        lab.peer_app.send_task("peer.speak", (str(gate), seconds, QUIET), task_id=task_id, queue="peer")
        await asyncio.sleep(0.5)
        gate.touch()
        await wait_for(lambda: crowd.viewers[0].first, 5)
        await crowd.measure(lambda: not crowd.all_final, seconds + 10)
        crowd.close()

    run(watch())
    return list(crowd.calls)


if __name__ == "__main__":
    sys.exit(main())
