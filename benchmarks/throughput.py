"""What does a stored run cost? Starts and tasks a second, and the CPU of both, beside Celery and others.

    python benchmarks/throughput.py --peers PYTHON [--postgres postgres://user@127.0.0.1:5432/postgres] [--only bare,…]

`PYTHON` is an interpreter that has what benchmarks/peers/requirements.txt names. Every system has one worker of two
processes on the same Valkey and, where it stores anything, the same kind of database. All of them are idle but the one
that is measured; rounds go from system to system, so that a busy second hits all.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from benchmarks.lab import ROOT, Lab, Report, cpu_seconds, median, show
from tests.live.process import Process

#: Worker processes of each system.
PROCESSES = 2
#: Tasks of one round, with a worker and without.
RUN, START, MANY = 300, 200, 1_000


@dataclass
class System:
    """One of those that are compared: where it is, and what was measured, a figure a round."""

    name: str
    title: str
    module: str
    python: str
    env: dict[str, str]
    workers: list[list[str]]
    starter: subprocess.Popen[str] | None = None
    log: Path = Path()
    processes: list[Process] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=dict)

    def ask(self, command: str) -> dict[str, float]:
        """Send the starter a command; its answer."""
        assert self.starter is not None and self.starter.stdin is not None and self.starter.stdout is not None
        self.starter.stdin.write(command + "\n")
        self.starter.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self.starter is not None and self.starter.stdout is not None
        line = self.starter.stdout.readline()
        while line and not line.startswith("{"):
            line = self.starter.stdout.readline()
        assert line, f"The starter of {self.name} has ended:\n{self.log.read_text()}"
        answer: dict[str, float] = json.loads(line)
        return answer

    def begin(self, lab: Lab) -> None:
        """Its workers and its starter."""
        for number, command in enumerate(self.workers):
            self.processes.append(lab.begin(f"{self.name}-{number}", command, env=self.env))
        self.log = lab.folder / f"{self.name}-starter.log"
        with self.log.open("ab") as log_file:
            self.starter = subprocess.Popen(
                [self.python, "-m", "benchmarks.starter", self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                cwd=ROOT,
                env=self.env,
                text=True,
            )
        self._answer()

    def end(self, lab: Lab) -> None:
        """None of its processes is left."""
        if self.starter is not None and self.starter.stdin is not None:
            self.starter.stdin.close()
            self.starter.wait(10)
        for process in self.processes:
            lab.stop(process)

    def cpu(self) -> float:
        """Seconds that its workers have used, with all their processes."""
        used = 0.0
        for process in self.processes:
            parent = psutil.Process(process.pid)
            used += sum(cpu_seconds(one) for one in (parent, *parent.children(recursive=True)))
        return used

    def note(self, name: str, value: float) -> None:
        """One round's figure."""
        self.figures.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """Of all rounds."""
        return median(self.figures[name])


def measure(system: System, many: bool) -> None:
    """One round of one system."""
    before = system.cpu()
    ran = system.ask(f"run {RUN}")
    system.note("tasks/s", RUN / ran["ended"])
    system.note("worker CPU ms a task", (system.cpu() - before) / RUN * 1000)
    system.note("starts/s beside a worker", RUN / ran["accepted"])
    system.note("starts/s", START / system.ask(f"start {START} 1")["accepted"])
    system.note("starts/s of ten threads", START / system.ask(f"start {START} 10")["accepted"])
    if many:
        system.note("starts/s of a group of 1,000", MANY / system.ask(f"many {MANY}")["accepted"])


def systems(lab: Lab, peers: str | None, database: str, only: set[str]) -> list[System]:
    """Those that are measured on one database; ours is the first."""
    kept = {key: value for key, value in lab.env.items() if key not in ("DEV_DIR", "DJANGO_SETTINGS_MODULE")}
    ours = {**lab.env, "DATABASE_URL": database, "PYTHONWARNINGS": "ignore"}
    celery = ["-m", "celery", "-A"]
    flags = ["worker", "-l", "warning", "--concurrency", str(PROCESSES)]
    found = [
        System(
            "ours",
            "ours",
            "benchmarks.project.many",
            sys.executable,
            ours,
            [[sys.executable, *celery, "django_starter", *flags, "-n", "ours@benchmark"]],
        )
    ]
    if peers is None:
        return found
    beside = _beside(database)
    django = {**kept, "DATABASE_URL": beside, "DJANGO_SETTINGS_MODULE": "benchmarks.peers.settings"}
    for name, title in (("bare", "Celery, results in Redis"), ("results", "Celery + django-celery-results")):
        command = [peers, *celery, "benchmarks.peers.bare", *flags, "-n", f"{name}@benchmark", "-Q", name]
        found.append(System(name, title, "benchmarks.peers.bare", peers, {**django, "PEER": name}, [command]))
    command = [
        peers,
        "-m",
        "huey.bin.huey_consumer",
        "benchmarks.peers.with_huey.huey",
        "-w",
        str(PROCESSES),
        "-k",
        "process",
        "-q",
    ]
    found.append(System("huey", "Huey (no row)", "benchmarks.peers.with_huey", peers, kept, [command]))
    db_worker = [peers, "-m", "django", "db_worker", "--interval", "0.05", "--no-startup-delay"]
    workers = [db_worker for _ in range(PROCESSES)]
    found.append(System("tasks_db", "django-tasks-db", "benchmarks.peers.tasks_db", peers, django, workers))
    return [one for one in found if one.name == "ours" or not only or one.name in only]


def _beside(database: str) -> str:
    """The peers' database: another one on the same server, another file in the same folder."""
    return "throughput_peers".join(database.rsplit("throughput", 1))


def prepare(found: list[System], database: str) -> None:
    """The databases, and their tables."""
    if not database.startswith("sqlite"):
        import psycopg

        parts = urlsplit(database)
        with psycopg.connect(urlunsplit(parts._replace(path="/postgres")), autocommit=True) as server:
            for name in (parts.path[1:], urlsplit(_beside(database)).path[1:]):
                server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
                server.execute(f'CREATE DATABASE "{name}"'.encode())
    for system in found:
        if "DJANGO_SETTINGS_MODULE" in system.env:
            command = [system.python, "-m", "django", "migrate", "--noinput", "-v", "0"]
            subprocess.run(command, cwd=ROOT, env=system.env, timeout=120, check=True)


def compare(report: Report, where: str, found: list[System]) -> None:
    """The rows of one database."""
    ours, by_name = found[0], {one.name: one for one in found}
    for figure in ours.figures:
        mine = ours.median(figure)
        for peer in found[1:]:
            if figure not in peer.figures:
                continue
            theirs = peer.median(figure)
            bound, met = "", None
            if peer.name == "results":
                if figure == "tasks/s":
                    bound, met = "≥ 1", mine >= theirs
                elif figure == "worker CPU ms a task":
                    bound, met = "≤ 1.2", mine <= 1.2 * theirs
                elif figure in ("starts/s", "starts/s of ten threads"):
                    bound, met = "≥ 0.8", mine >= 0.8 * theirs
            what = f"{where}: {figure}, {peer.title}"
            report.row(what, show(mine), show(theirs), f"{mine / theirs:.2f}", bound, met)
        if len(by_name) == 1 and "group" not in figure:
            report.row(f"{where}: {figure}", show(mine))
        if "group" in figure:
            least = 3_000 if where == "SQLite" else 5_000
            report.row(f"{where}: {figure}", show(mine), "", "", f"≥ {least:,}", mine >= least)


def main() -> int:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="an interpreter that has what benchmarks/peers/requirements.txt names")
    parser.add_argument("--postgres", help="the address of a PostgreSQL server, whose user may create databases")
    parser.add_argument("--only", default="", help="names of peers, with commas: bare, results, huey, tasks_db")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-sqlite", action="store_true")
    given = parser.parse_args()
    only = set(filter(None, given.only.split(",")))
    report = Report("throughput.py: what a stored run costs")
    databases = [] if given.no_sqlite else [("SQLite", "")]
    if given.postgres:
        databases.append(("PostgreSQL", urlunsplit(urlsplit(given.postgres)._replace(path="/throughput"))))
    for where, database in databases:
        with Lab() as lab:
            database = database or f"sqlite:///{lab.folder}/throughput.sqlite3"
            found = systems(lab, given.peers, database, only)
            prepare(found, database)
            for system in found:
                system.begin(lab)
            try:
                for system in found:
                    system.ask("run 50")  # warm
                for _ in range(given.rounds):
                    for system in found:
                        measure(system, many=system.name in ("ours", "bare", "results"))
            finally:
                for system in found:
                    system.end(lab)
            compare(report, where, found)
    return report.print()


if __name__ == "__main__":
    raise SystemExit(main())
