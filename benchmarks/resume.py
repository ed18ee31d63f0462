"""What a checkpoint costs the task, and what a death costs its work: `python benchmarks/resume.py`"""

from __future__ import annotations

import argparse
import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from lab import ROOT, Lab, Report, median, show

from tests.live.process import Process

#: Seconds of one item of the task that is told to end.
ITEM = 0.01


def main() -> int:
    """Run it and print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--kills", type=int, default=50)
    given = options.parse_args()
    report = Report("resume.py: checkpoints")
    with Lab() as lab:
        worker = lab.start_worker()
        lab.start_web("uvicorn")
        cost = {
            name: median(values)
            for name, values in lab.result(lab.start("checkpoints", rounds=given.rounds), 120).items()
        }
        report.at_most("`checkpoint.save(5)`, nothing due", cost["save_int"], 300, "ns")
        report.row("`checkpoint.save(…)` of a short text", f"{show(cost['save_text'])} ns")
        report.row("`checkpoint.save(…)` of a small dict", f"{show(cost['save_dict'])} ns")
        report.row(
            "`resumable`, an iteration / `progress.track`",
            f"{show(cost['resumable'])} ns",
            f"{show(cost['track'])} ns",
            f"{cost['resumable'] / cost['track']:.2f} ×",
        )
        report.row(
            "`resumable`, an iteration / a bare loop",
            f"{show(cost['resumable'] + cost['bare'])} ns",
            f"{show(cost['bare'])} ns",
            f"{(cost['resumable'] + cost['bare']) / cost['bare']:.1f} ×",
        )
        _writes(lab, report)
        _terms(lab, report, worker)
    with Lab() as lab:  # without a worker, whose sweep would miss the beats of processes that have none
        _kills(lab, report, given.kills)
    return report.print()


def _writes(lab: Lab, report: Report) -> None:
    """Writes a second of a task that saves 50,000 times a second."""
    seconds = 10
    task_id = lab.start("saves", seconds=seconds)
    done = lab.result(task_id)
    writes = _row(lab, task_id)[0]
    report.at_most(f"writes, {done:,} saves in {seconds} s", writes, seconds, "")


def _kills(lab: Lab, report: Report, kills: int) -> None:
    """Work that is lost by kill -9 at a random moment."""
    lab.migrate()
    command = [sys.executable, "-m", "benchmarks.deaths", str(kills)]
    printed = subprocess.run(command, cwd=ROOT, env=lab.env, stdout=subprocess.PIPE, text=True, timeout=300, check=True)
    lost = json.loads(printed.stdout.splitlines()[-1])
    report.at_most(f"work lost by kill -9, median of {len(lost)}", median(lost), 1.1, "s")
    report.at_most(f"work lost by kill -9, maximum of {len(lost)}", max(lost), 1.1, "s")


def _terms(lab: Lab, report: Report, worker: Process) -> None:
    """Work that is done twice because a worker was told to end, and how soon the run is given back."""
    path = Path(lab.folder / "terms")
    task_id = lab.start("items", path=str(path), count=600, delay=ITEM)
    late = 0.0
    for number in range(2):
        while not path.exists() or len(path.read_text().split()) < 200 * (number + 1):
            time.sleep(0.02)
        worker.signal(signal.SIGTERM)
        began = time.monotonic()
        while _row(lab, task_id)[1] == "STARTED" and time.monotonic() - began < 20:
            time.sleep(0.01)
        late = max(late, time.monotonic() - began)
        while worker.alive:
            time.sleep(0.05)
        worker = lab.start_worker(name=f"worker-{number}")
    lab.result(task_id)
    twice = len(path.read_text().split()) - 600
    report.at_most("work done twice after TERM, 2 times", twice * ITEM, 0.2, "s")
    report.at_most("given back after TERM within", late, 2, "s")


def _row(lab: Lab, task_id: str) -> tuple[int, str]:
    with sqlite3.connect(lab.folder / "db.sqlite3", timeout=20) as database:
        select = "SELECT checkpoint_seq, state FROM tasks_taskrun WHERE id = ?"
        seq, state = database.execute(select, (task_id,)).fetchone()
    return int(seq), str(state)


if __name__ == "__main__":
    sys.exit(main())
