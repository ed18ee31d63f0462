"""The database as the test sees it, beside the application: rows, effects, and every end that was ever written."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

FINAL = ("SUCCESS", "FAILURE", "REVOKED")

SQLITE_AUDIT = """
CREATE TABLE fault_effects (run_id TEXT, attempt INTEGER);
CREATE TABLE fault_ends (run_id TEXT, before TEXT, after TEXT);
CREATE TRIGGER fault_audit AFTER UPDATE OF state, result, error, attempt, finished_at ON tasks_taskrun
WHEN NEW.state IN ('SUCCESS', 'FAILURE', 'REVOKED') OR OLD.state IN ('SUCCESS', 'FAILURE', 'REVOKED')
BEGIN INSERT INTO fault_ends VALUES (NEW.id, OLD.state, NEW.state); END;
"""

POSTGRES_AUDIT = """
CREATE TABLE fault_effects (run_id TEXT, attempt INTEGER);
CREATE TABLE fault_ends (run_id TEXT, before TEXT, after TEXT);
CREATE FUNCTION fault_audit() RETURNS trigger AS $$
BEGIN INSERT INTO fault_ends VALUES (NEW.id, OLD.state, NEW.state); RETURN NEW; END $$ LANGUAGE plpgsql;
CREATE TRIGGER fault_audit AFTER UPDATE OF state, result, error, attempt, finished_at ON tasks_taskrun
FOR EACH ROW WHEN (NEW.state IN ('SUCCESS', 'FAILURE', 'REVOKED') OR OLD.state IN ('SUCCESS', 'FAILURE', 'REVOKED'))
EXECUTE FUNCTION fault_audit();
"""

LOCK_SQLITE = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
database.execute("COMMIT")
"""

LOCK_POSTGRES = """
import psycopg, sys, time
with psycopg.connect(sys.argv[1]) as database:
    database.execute("LOCK TABLE tasks_taskrun IN SHARE ROW EXCLUSIVE MODE")
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
"""


class Rows:
    """A connection of the test's own; every call sees what is committed now."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.url = env.get("DATABASE_URL", "")
        self._database: Any
        if self.url:
            import psycopg

            self._database = psycopg.connect(self.url, autocommit=True)
            self._database.execute(POSTGRES_AUDIT)
        else:
            import sqlite3

            self.url = str(folder / "db.sqlite3")
            self._database = sqlite3.connect(self.url, timeout=30, isolation_level=None, check_same_thread=False)
            self._database.executescript(SQLITE_AUDIT)
        self._postgres = bool(env.get("DATABASE_URL"))

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """`?` stands for a value."""
        return list(self._database.execute(sql.replace("?", "%s") if self._postgres else sql, values).fetchall())

    def states(self) -> dict[str, int]:
        """How many runs are in each state."""
        return dict(self.query("SELECT state, count(*) FROM tasks_taskrun GROUP BY state"))

    def run(self, task_id: str) -> dict[str, Any]:
        names = ("state", "attempt", "lost", "worker", "sent_at", "started_at", "finished_at")
        (found,) = self.query(f"SELECT {', '.join(names)} FROM tasks_taskrun WHERE id = ?", task_id)
        return dict(zip(names, found, strict=True))

    def attempts(self) -> int:
        """How many claims there were, of all runs together."""
        return int(self.query("SELECT coalesce(sum(attempt), 0) FROM tasks_taskrun")[0][0])

    def count(self, *states: str) -> int:
        found = self.states()
        return sum(found.get(state, 0) for state in states)

    def started(self) -> int:
        """How many runs were ever claimed."""
        return int(self.query("SELECT count(*) FROM tasks_taskrun WHERE attempt > 0")[0][0])

    def wait_started(self, count: int, timeout: float) -> None:
        """Until `count` runs were claimed at least once."""
        wait_until(lambda: self.started() >= count, timeout, lambda: f"{count} × claimed; {self.states()}")

    def wait_all(self, state: str, count: int, timeout: float) -> None:
        """Until `count` runs are in `state`."""
        wait_until(
            lambda: self.count(state) >= count, timeout, lambda: f"{count} × {state}; {self.states()}", every=0.1
        )

    def assert_ended_once(self, task_ids: Iterable[str], state: str = "SUCCESS") -> None:
        """Nothing is lost: every run stands in `state`, and one end was written for each, never another after it."""
        wanted = set(task_ids)
        found = dict(self.query("SELECT id, state FROM tasks_taskrun"))
        missing = wanted - found.keys()
        assert not missing, f"{len(missing)} accepted runs are not there: {sorted(missing)[:5]}"
        others = {one: found[one] for one in wanted if found[one] != state}
        assert not others, f"{len(others)} of {len(wanted)} runs are not {state}: {list(others.items())[:5]}"
        ends: dict[str, list[tuple[str, str]]] = {}
        for run_id, before, after in self.query("SELECT run_id, before, after FROM fault_ends"):
            ends.setdefault(run_id, []).append((before, after))
        wrong = {one: ends.get(one) for one in wanted if len(ends.get(one, [])) != 1}
        assert not wrong, f"{len(wrong)} runs have not exactly one recorded end: {list(wrong.items())[:5]}"

    def assert_effects_once(self, task_ids: Iterable[str]) -> None:
        """Every run has left exactly one effect."""
        counted = dict(self.query("SELECT run_id, count(*) FROM fault_effects GROUP BY run_id"))
        wrong = {one: counted.get(one, 0) for one in task_ids if counted.get(one, 0) != 1}
        assert not wrong, f"{len(wrong)} effects were not counted once: {list(wrong.items())[:5]}"

    def lock(self, seconds: float) -> subprocess.Popen[str]:
        """Another process holds the database for `seconds`; returns when it does."""
        code = LOCK_POSTGRES if self._postgres else LOCK_SQLITE
        process = subprocess.Popen(
            [sys.executable, "-c", code, self.url, str(seconds)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        return process

    def close(self) -> None:
        self._database.close()


def wait_gone(processes: Iterable[Any], timeout: float) -> float:
    """Seconds until all `processes` (psutil's) are gone; fails after `timeout`."""
    began = time.monotonic()
    waiting = list(processes)
    wait_until(
        lambda: not [one for one in waiting if one.is_running() and one.status() != "zombie"],
        timeout,
        lambda: f"gone: {[one for one in waiting if one.is_running()]}",
    )
    return time.monotonic() - began
