"""Two workers of different pools, a broker, and a fault every few seconds; the rules are asked every minute."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django_starter.processes.guard import Guard
from tests.live import invariants
from tests.live.faults.rows import FINAL, Rows
from tests.live.stack import ROOT, Stack, Worker

#: Seconds between two faults, at least and at most.
PAUSE = (2.0, 7.0)
#: Seconds between two looks at the rules, and those in which they must hold again when no fault comes.
LOOK_EVERY, HOLD_WITHIN = 60.0, 25.0
#: Seconds until everything has ended when nothing is started any more.
END_WITHIN = 150.0
LONGEST = 120
POOLS = {"w1": "prefork", "w2": "threads"}


class Soak:
    """The system, the dice and the figures."""

    def __init__(self, folder: Path, guard: Guard, seed: int) -> None:
        self.stack = Stack(folder / "dev", guard)
        self.traces = folder / "traces"
        self.traces.mkdir()
        self.dice = random.Random(seed)
        self.seed = seed
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        self.rows: Rows

    def open(self) -> None:
        self.stack.prepare_database()
        self.rows = Rows(self.stack.env, self.stack.folder)
        self.stack.valkey.start()
        for name in POOLS:
            self._start(name)

    def run(self, minutes: float) -> None:
        command = [sys.executable, "-m", "tests.soak.driver", str(self.traces), str(self.seed)]
        with (self.stack.folder / "logs" / "driver.log").open("w") as log:
            driver = subprocess.Popen(
                command, cwd=ROOT, env=self.stack.env, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            began = looked = time.monotonic()
            while time.monotonic() - began < minutes * 60:
                time.sleep(self.dice.uniform(*PAUSE))
                self._break()
                if time.monotonic() - looked > LOOK_EVERY:
                    self._look(f"minute {(time.monotonic() - began) / 60:.0f}")
                    looked = time.monotonic()
        finally:
            driver.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                print("driver:", driver.communicate(timeout=60)[0].strip())
            driver.kill()
        self._end()

    def _end(self) -> None:
        self._revive()
        began = time.monotonic()
        while time.monotonic() - began < END_WITHIN and self._going():
            time.sleep(0.5)
            self._revive()
        print(
            f"all ended {time.monotonic() - began:.0f} s after the last start" if not self._going() else "NOT ALL ENDED"
        )
        for pk, name, state, held, after, error in self.rows.query(
            "SELECT id, name, state, held, after, error FROM tasks_taskrun WHERE state NOT IN (?, ?, ?) LIMIT 20",
            *FINAL,
        ):
            self.violations.append(f"at the end: {name} {pk} is {state}, held {held} after {after} ({error})")
        self._look("the end")
        twice = self.rows.query("SELECT run_id, count(*) FROM fault_ends GROUP BY run_id HAVING count(*) > 1 LIMIT 20")
        self.violations += [f"at the end: {pk} was ended {count} times" for pk, count in twice]
        self._executions()

    def _executions(self) -> None:
        """Nothing was executed without a claim."""
        for text, pk, attempt in self.rows.query(
            "SELECT message, id, attempt FROM tasks_taskrun WHERE name = ? AND attempt >= 0", "testjobs.ends.end"
        ):
            folder = (json.loads(text).get("kwargs") or {}).get("folder")
            trace = Path(folder) / "end" if folder else None
            count = len(trace.read_text().splitlines()) if trace is not None and trace.exists() else 0
            self.faults["executions counted"] += count
            if count > attempt and "within" not in str(folder):
                self.violations.append(f"at the end: {pk} was executed {count} times in {attempt} attempts")

    def _look(self, when: str) -> None:
        """The rules must hold soon, when nothing is broken."""
        self._revive()
        until = time.monotonic() + HOLD_WITHIN
        while (found := self._ask()) and time.monotonic() < until:
            time.sleep(1)
        self.violations += [f"{when}: {one}" for one in found]
        print(
            f"{when}: {self.rows.states()}, {self.rows.attempts()} attempts, broken: {found or 'no rule'}", flush=True
        )

    def _ask(self) -> list[str]:
        try:
            return invariants.ask(self.stack)
        except AssertionError as error:
            return [f"the rules could not be asked: {str(error)[-300:]}"]

    def _going(self) -> int:
        return self.rows.count("PENDING", "STARTED", "RETRY")

    # --- faults -------------------------------------------------------------------------------------------------------

    def _break(self) -> None:
        self._revive()
        kinds: list[Callable[[], None]] = [
            self.kill_pool_process,
            self.kill_pool_process,
            self.kill_parent,
            self.kill_worker,
            self.end_worker,
            self.freeze_worker,
            self.restart_broker,
            self.kill_broker,
            self.hang_broker,
            self.refuse_writes,
            self.fill_broker,
            self.flush_all,
            self.jump_clock,
            self.jump_clock,
        ]
        kind = self.dice.choice(kinds)
        self.faults[kind.__name__] += 1
        kind()

    def _revive(self) -> None:
        if not self.stack.valkey.alive:
            self.stack.valkey.start()
        for name in POOLS:
            worker = self.stack.workers[name]
            if not worker.alive:
                if worker.exit_code not in (0, -signal.SIGKILL, -signal.SIGTERM):
                    self.faults[f"{POOLS[name]} worker ended with {worker.exit_code}"] += 1
                self._start(name)

    def _start(self, name: str) -> None:
        self.stack.start_worker(name, concurrency=3, pool=POOLS[name], wait=False)

    def _worker(self) -> Worker:
        return self.stack.workers[self.dice.choice(list(POOLS))]

    def kill_pool_process(self) -> None:
        children = self.stack.workers["w1"].children()
        if children:
            with contextlib.suppress(Exception):  # it was gone already
                self.dice.choice(children).kill()

    def kill_parent(self) -> None:
        """As the kernel does it when memory is short: what it started lives on."""
        self._worker().kill_main()

    def kill_worker(self) -> None:
        self._worker().kill()

    def end_worker(self) -> None:
        self._worker().signal(signal.SIGTERM)

    def freeze_worker(self) -> None:
        worker = self._worker()
        worker.pause()
        time.sleep(self.dice.uniform(1, 9))
        worker.resume()

    def restart_broker(self) -> None:
        self.stack.valkey.restart()

    def kill_broker(self) -> None:
        self.stack.valkey.restart(kill=True, keep_data=self.dice.random() < 0.5)

    def hang_broker(self) -> None:
        self.stack.valkey.pause()
        time.sleep(self.dice.uniform(0.5, 6))
        self.stack.valkey.resume()

    def refuse_writes(self) -> None:
        """NOREPLICAS to every write."""
        self.stack.valkey.config_set("min-replicas-to-write", 1)
        time.sleep(self.dice.uniform(0.5, 6))
        self.stack.valkey.config_set("min-replicas-to-write", 0)

    def fill_broker(self) -> None:
        self.stack.valkey.config_set("maxmemory", 1)
        time.sleep(self.dice.uniform(0.5, 6))
        self.stack.valkey.drain()

    def flush_all(self) -> None:
        self.stack.valkey.flush()

    def jump_clock(self) -> None:
        """The beats are as after a clock that was set back, or forth, by up to an hour."""
        by = self.dice.choice((-3600, -60, -10, 10, 60, 3600))
        with self.stack.valkey.client() as client:
            for worker in client.zrange("django_starter:beats", 0, -1):
                client.zincrby("django_starter:beats", by, worker)

    # --- figures ------------------------------------------------------------------------------------------------------

    def figures(self) -> dict[str, Any]:
        states = self.rows.states()
        names = self.rows.query("SELECT count(*) FROM tasks_taskgroup")
        errors = self.rows.query("SELECT error FROM tasks_taskrun WHERE error IS NOT NULL")
        kinds = Counter(json.loads(text).get("type") for (text,) in errors if text and text != "null")
        return {
            "seed": self.seed,
            "runs": sum(states.values()),
            "ends": states,
            "groups": names[0][0],
            "attempts": self.rows.attempts(),
            "faults": dict(self.faults),
            "errors": dict(kinds.most_common()),
            "violations": len(self.violations),
        }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    guard, folder = Guard(), Path(tempfile.mkdtemp(prefix="django_starter-soak-"))
    os.environ["PYTHONUNBUFFERED"] = "1"
    print(f"seed {seed}, {folder}", flush=True)
    soak = Soak(folder, guard, seed)
    try:
        soak.open()
        soak.run(min(given.minutes, LONGEST))
        print(json.dumps(soak.figures(), indent=1))
        print("\n".join(soak.violations) or "no rule was broken")
        return 1 if soak.violations else 0
    finally:
        soak.stack.close()
        guard.close()
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
