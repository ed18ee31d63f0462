"""What every benchmark stands on: real processes in a folder of their own, and a table that says what was reached.

    with Lab() as lab:
        lab.start_worker()
        web = lab.start_web("uvicorn")
        task_id = lab.start("speak", gate=str(lab.gate("go")), seconds=5)

Nothing here is measured. Everything listens on 127.0.0.1, on ports that were free, and ends with the block.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # `python benchmarks/producer.py` sees the folder of the script only
    sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402
import redis  # noqa: E402
from celery import Celery  # noqa: E402

from django_starter.processes.guard import Guard  # noqa: E402
from django_starter.processes.ports import free_port, is_free  # noqa: E402
from django_starter.processes.valkey import answers_ping, valkey_command  # noqa: E402
from django_starter.serve.web import web_command  # noqa: E402
from tests.live.process import Process  # noqa: E402
from tests.live.visitor import Visitor  # noqa: E402


class Lab:
    """Valkey, and on demand: a worker, a web server, the bare relay, and celery-progress with its own of both."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="django_starter-benchmark-"))
        self._guard = Guard()
        self._processes: list[Process] = []
        self._visitor: Visitor | None = None
        port = free_port()
        self.redis_url = f"redis://127.0.0.1:{port}/0"
        (self.folder / "valkey").mkdir()
        # The variables of a shell beside us (DATABASE_URL, REDIS_URL, …) must not reach what is measured.
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")
        self.env = {key: os.environ[key] for key in kept if key in os.environ} | {
            "DEV_DIR": str(self.folder),
            "REDIS_URL": self.redis_url,
            "DJANGO_SETTINGS_MODULE": "benchmarks.project.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        self._peer_env = {**self.env, "DJANGO_SETTINGS_MODULE": "benchmarks.peer.settings"}
        self.valkey = self.begin(
            "valkey", valkey_command(self.folder / "valkey", port), ready=lambda: answers_ping(self.redis_url)
        )
        self.redis = redis.Redis.from_url(self.redis_url)
        self.peer_app = Celery("benchmarks", broker=self.redis_url, backend=self.redis_url)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        if self._visitor is not None:
            self._visitor.close()
        self.peer_app.close()
        self.redis.close()
        for process in reversed(self._processes):
            process.kill()
        self._guard.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- ours -------------------------------------------------------------------------------------------------------

    def start_worker(self, concurrency: int = 1, pool: str = "prefork", name: str = "worker") -> Process:
        """A worker of the project."""
        self.migrate()
        return self._start_worker(name, "django_starter", concurrency, self.env, pool)

    def start_web(self, server: str) -> Process:
        """A web server of the project. End it with `stop` before the next one."""
        self.migrate()
        process, port = self._serve(f"web-{server}", server, "django_starter.asgi:application", self.env)
        self._visitor = Visitor(f"http://127.0.0.1:{port}")
        return process

    @property
    def visitor(self) -> Visitor:
        """Somebody with a session at the web server that runs now."""
        assert self._visitor is not None, "start_web comes first"
        return self._visitor

    def start(self, job: str, **kwargs: Any) -> str:
        """Start one of `benchmarks/project/tasks.py` as the visitor; the task's id."""
        answer = self.visitor.post(f"/benchmarks/{job}/", json=kwargs)
        assert answer.status == 202, (answer.status, answer.text[:2000])
        return str(answer.json()["task_id"])

    def result(self, task_id: str, timeout: float = 60.0) -> Any:
        """What the task returned."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            task = self.visitor.task(task_id)
            if task["state"] == "SUCCESS":
                return task["result"]
            assert task["state"] in ("PENDING", "STARTED", "RETRY"), task
            time.sleep(0.05)
        raise AssertionError(f"{task_id} did not end within {timeout} s")

    def socket(self, task_id: str) -> tuple[str, str]:
        """Address and cookie of the task's WebSocket, for its owner."""
        cookie = "; ".join(f"{one.name}={one.value}" for one in self.visitor.cookies)
        return f"{self.visitor.base_url.replace('http', 'ws', 1)}/ws/progress/{task_id}/", cookie

    # --- the peers --------------------------------------------------------------------------------------------------

    def start_relay(self) -> tuple[Process, str]:
        """The bare Redis-to-WebSocket relay; its address."""
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.relay", self.redis_url, "relay", str(port)]
        return self.begin("relay", command, ready=lambda: not is_free(port)), f"ws://127.0.0.1:{port}/"

    def publisher(self, gate: Path, seconds: float, rate: float, padding: int = 0) -> Process:
        """A process that publishes into the relay's channel once `gate` exists."""
        command = [sys.executable, "-m", "benchmarks.publisher", self.redis_url, "relay"]
        return self.begin("publisher", [*command, str(gate), str(seconds), str(rate), str(padding)])

    def start_peer_worker(self) -> Process:
        """A prefork worker in which celery-progress is used as its README says."""
        return self._start_worker("peer-worker", "benchmarks.peer", 1, self._peer_env)

    def start_peer_web(self, server: str) -> tuple[Process, str]:
        """A web server with celery-progress's consumer; the beginning of its sockets' address."""
        process, port = self._serve(f"peer-{server}", server, "benchmarks.peer.asgi:application", self._peer_env)
        return process, f"ws://127.0.0.1:{port}/ws/progress/"

    # --- processes --------------------------------------------------------------------------------------------------

    def gate(self, name: str) -> Path:
        """The path of a file that does not exist yet: a job that waits for it starts when it is touched."""
        return self.folder / f"gate-{name}-{time.monotonic_ns()}"

    def stop(self, process: Process) -> None:
        """End one process before the lab is closed."""
        process.kill()
        self._processes.remove(process)

    def migrate(self) -> None:
        """Make the database, once."""
        if not (self.folder / "db.sqlite3").exists():
            command = [sys.executable, "manage.py", "migrate", "--noinput", "-v", "0"]
            subprocess.run(command, cwd=ROOT, env=self.env, timeout=60, check=True)

    def _start_worker(
        self, name: str, app: str, concurrency: int, env: dict[str, str], pool: str = "prefork"
    ) -> Process:
        queue = "peer" if app == "benchmarks.peer" else "celery"
        node = f"{name}@benchmark"
        command = [
            *(sys.executable, "-m", "celery", "-A", app, "worker", "-l", "info", "-n", node, "-Q", queue),
            *("--pool", pool, "--concurrency", str(concurrency)),
        ]
        log = self.folder / f"{name}.log"
        return self.begin(name, command, env=env, ready=lambda: f"{node} ready" in log.read_text())

    def _serve(self, name: str, server: str, app: str, env: dict[str, str]) -> tuple[Process, int]:
        port = free_port()
        command = [*web_command(server, "127.0.0.1", port)[:-1], app]  # as start_all_services.sh starts it
        return self.begin(name, command, ready=lambda: not is_free(port), env=env), port

    def begin(self, name: str, command: Sequence[str], *, ready: Any = lambda: True, env: Any = None) -> Process:
        """A process of the lab's, which ends with it."""
        log = self.folder / f"{name}.log"
        process = Process(name, command, cwd=ROOT, env=env or self.env, log_path=log, guard=self._guard, ready=ready)
        self._processes.append(process)
        process.start()
        return process


class Report:
    """A table of what was measured, and which bounds hold."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.missed: list[str] = []
        self._rows: list[tuple[str, ...]] = []

    def row(
        self, what: str, ours: str, peer: str = "", ratio: str = "", bound: str = "", met: bool | None = None
    ) -> None:
        """One line; `met` None: a figure without a bound."""
        self._rows.append((what, ours, peer, ratio, bound, "" if met is None else "yes" if met else "**no**"))
        if met is False:
            self.missed.append(what)
        print(".", end="", file=sys.stderr, flush=True)

    def at_most(self, what: str, value: float, bound: float, unit: str, peer: str = "") -> None:
        """A figure that must not be larger than `bound`."""
        self.row(what, f"{show(value)} {unit}", peer, "", f"≤ {bound:,g} {unit}", value <= bound)

    def exactly(self, what: str, value: int, of: int) -> None:
        """All of them, or it is missed."""
        self.row(what, f"{value:,} of {of:,}", "", "", "all", value == of)

    def print(self) -> int:
        """Print the table; the exit code: 1 when a bound was missed."""
        head = ("", "ours", "peer", "ratio", "bound", "met")
        rows = [head, *self._rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        print(f"\n\n### {self.title}\n\n{machine()}\n")
        for number, row in enumerate(rows):
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
            if number == 0:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
        print("\n" + (f"Missed: {', '.join(self.missed)}." if self.missed else "All bounds are met."))
        return 1 if self.missed else 0


def show(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of `values` are; they need not be sorted."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def cpu_seconds(process: psutil.Process) -> float:
    """What the process has used, user and system."""
    times = process.cpu_times()
    return float(times.user + times.system)


def machine() -> str:
    """Cores and versions, in one line."""
    packages = ("django", "celery", "channels_redis", "daphne", "uvicorn", "websockets", "celery-progress", "tqdm")
    names = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{os.cpu_count()} cores ({platform.system()}), Python {platform.python_version()}, {names}"


def many_files(wanted: int) -> None:
    """Allow this process, and those that it starts, `wanted` open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))


def host_and_port(url: str) -> tuple[str, int]:
    """Of a ws:// address."""
    parts = urlsplit(url)
    return parts.hostname or "127.0.0.1", parts.port or 80
