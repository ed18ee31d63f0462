"""What a progress call costs the task, in a real prefork worker: `python benchmarks/producer.py`

The peers are tqdm (which tells a terminal, not a browser) and celery-progress's WebSocketProgressRecorder.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

from lab import Lab, Report, median, show

from progress.redis import make_client


def main() -> int:
    """Run it and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    rounds = options.parse_args().rounds
    report = Report("producer.py: one progress call")
    with Lab() as lab:
        lab.start_worker()
        lab.start_peer_worker()
        lab.start_web("uvicorn")
        ours: dict[str, list[float]] = {}
        peer: list[float] = []
        for _ in range(3):
            for name, values in lab.result(lab.start("calls", rounds=rounds)).items():
                ours.setdefault(name, []).extend(values)
            peer += lab.peer_app.send_task("peer.calls", queue="peer").get(timeout=60)
        cost = {name: median(values) for name, values in ours.items()}
        websocket = median(peer)
        for what, name, other, bound in (
            ("`track`, an iteration", "track", "tqdm_track", 0.6),
            ("`reporter.set`, a call", "reporter_set", "tqdm_update", 0.5),
            ("`progress.set`, a call", "module_set", "tqdm_update", 1.0),
        ):
            ratio = cost[name] / cost[other]
            report.row(
                f"{what} / tqdm",
                f"{show(cost[name])} ns",
                f"{show(cost[other])} ns",
                f"{ratio:.2f} ×",
                f"≤ {bound} ×",
                ratio <= bound,
            )
        ratio = websocket / cost["module_set"]
        report.row(
            "`progress.set` / celery-progress over WebSocket",
            f"{show(cost['module_set'])} ns",
            f"{websocket / 1e6:.2f} ms",
            f"1 / {ratio:,.0f}",
            "≤ 1 / 2,000",
            ratio >= 2000,
        )
        _million(lab, report)
    return report.print()


def _million(lab: Lab, report: Report) -> None:
    """How often a task of 1,000,000 steps publishes, and its last word."""
    times: list[float] = []
    listening, done = threading.Event(), threading.Event()

    def listen() -> None:
        with make_client(lab.redis_url, socket_timeout=None).pubsub() as pubsub:
            pubsub.psubscribe("*__group__progress.*")
            listening.set()
            while not done.is_set():
                message = pubsub.get_message(ignore_subscribe_messages=True, timeout=0.2)
                if message is not None:
                    times.append(time.time())

    listener = threading.Thread(target=listen)
    listener.start()
    listening.wait(5)
    task_id = lab.start("million")
    result = lab.result(task_id)
    done.set()
    listener.join()
    seconds = result["ended"] - result["began"]
    within = [at for at in times if result["began"] <= at <= result["ended"]]
    worst = max((sum(1 for other in within if at <= other < at + 1) for at in within), default=0)
    report.at_most(f"publishes in any second, 1,000,000 steps in {seconds:.1f} s", worst, 21, "/s")
    task = lab.visitor.task(task_id)
    exact = (task["state"], task["current"], task["total"], task["percent"]) == ("SUCCESS", 1e6, 1e6, 100.0)
    report.row("its last word", f"{task['current']:,.0f}, {task['percent']} %", "", "", "exact", exact)


if __name__ == "__main__":
    sys.exit(main())
