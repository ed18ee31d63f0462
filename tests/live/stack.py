"""The whole system as real processes, in a folder and on ports of its own, to be watched and to be broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis

from django_starter.processes.guard import Guard
from django_starter.processes.ports import free_port
from django_starter.processes.valkey import answers_ping, valkey_command
from django_starter.serve.web import POOL, web_command
from tests.conftest import OURS
from tests.waiting import wait_until

from . import postgres
from .process import Process
from .rabbitmq import Rabbits
from .visitor import Answer, Visitor
from .watcher import Watcher

ROOT = Path(__file__).resolve().parents[2]


class Valkey(Process):
    """The broker, channel layer and cache: one server on one port, with or without the data it had."""

    def __init__(self, folder: Path, **process: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        folder.mkdir(parents=True, exist_ok=True)
        command = valkey_command(folder, self.port)
        command[0] = os.environ.get("TEST_REDIS_SERVER") or command[0]  # such as the distribution's redis-server
        super().__init__("valkey", command, cwd=folder, ready=lambda: answers_ping(self.url), **process)

    def client(self) -> redis.Redis:
        """A connection for the test itself. Close it, or use it as a context manager."""
        return redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=5)

    def config_set(self, name: str, value: str | int) -> None:
        """Such as `config_set("maxmemory", "1mb")`."""
        with self.client() as client:
            client.config_set(name, value)

    def flush(self) -> None:
        """Throw all of its data away; connections live on."""
        with self.client() as client:
            client.flushall()

    def fill(self) -> None:
        """Nothing more fits in."""
        self.config_set("maxmemory", 1)
        with self.client() as client:
            try:
                client.set("more", "data")
            except redis.RedisError as error:
                assert "maxmemory" in str(error), error
                return
        raise AssertionError("something fitted in")

    def drain(self) -> None:
        """There is room again."""
        self.config_set("maxmemory", 0)

    def wipe(self) -> None:
        """Delete its data. Only while it is stopped."""
        assert not self.alive
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    def restart(self, *, keep_data: bool = True, kill: bool = False) -> None:
        """At the same address; `kill` as a power cut does it, without `keep_data` as a cache that forgets."""
        self.kill() if kill else self.stop()
        if not keep_data:
            self.wipe()
        self.start()


class Worker(Process):
    """A Celery worker; `children()` is its pool."""

    def __init__(
        self,
        name: str,
        *,
        concurrency: int,
        pool: str,
        queues: Iterable[str] | None,
        args: Iterable[str],
        **process: Any,
    ) -> None:
        self.node = f"{name}@test"
        command = [
            *(sys.executable, "-m", "celery", "-A", "django_starter", "worker", "-l", "info"),
            *("-n", self.node, "--concurrency", str(concurrency), "--pool", pool, "--without-mingle"),
            *(("-Q", ",".join(queues)) if queues else ()),
            *args,
        ]
        super().__init__(name, command, cwd=ROOT, ready=lambda: f"{self.node} ready" in self.log(), **process)


class HueyWorker(Worker):
    """`manage.py run_huey`: `kind` is process, thread or greenlet."""

    def __init__(self, name: str, *, workers: int, kind: str, **process: Any) -> None:
        self.node = name
        run = [sys.executable, "manage.py", "run_huey"]
        if kind == "greenlet":
            patched = "from gevent import monkey; monkey.patch_all(); import sys; sys.argv[0] = 'manage.py'; "
            run = [sys.executable, "-c", f"{patched}from manage import main; main()", "run_huey"]
        command = [*run, "-k", kind, "-w", str(workers)]
        Process.__init__(self, name, command, cwd=ROOT, ready=lambda: "Huey consumer started" in self.log(), **process)


class WebServer(Process):
    """Daphne or uvicorn, at the address of the stack."""

    def __init__(self, server: str, port: int, args: Iterable[str] = (), **process: Any) -> None:
        self.server = server
        *command, application = web_command(server, "127.0.0.1", port)
        command += [*args, application]
        super().__init__(f"web-{server}", command, cwd=ROOT, ready=lambda: web_answers(port), **process)


class Stack:
    """Valkey, workers and web servers that know only each other. Nothing runs until it is started.

    `env` is added to the environment of every process: `{"DATABASE_URL": ...}`. `broker` is Valkey, or the RabbitMQ of
    `rabbits`: one of its own when the test `breaks_broker`, else a vhost in one that stacks share.
    """

    def __init__(
        self,
        folder: Path,
        guard: Guard,
        *,
        env: dict[str, str] | None = None,
        rabbits: Rabbits | None = None,
        breaks_broker: bool = False,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.template: Path | None = None  # a migrated SQLite file to begin with
        self.processes: list[Process] = []  # all that ever were
        self.workers: dict[str, Worker] = {}
        self.web: WebServer | None = None
        self._guard = guard
        self._visitors: dict[str, Visitor] = {}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "logs").mkdir()
        self.env = {key: value for key, value in os.environ.items() if key not in OURS} | {
            "DEV_DIR": str(folder),
            "DJANGO_SETTINGS_MODULE": "tests.live.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "default",  # pytest's strictness is not meant for these
            "REMAP_SIGTERM": "SIGQUIT",
            **(env or {}),
        }
        if (url := os.environ.get("TEST_DATABASE_URL")) and "DATABASE_URL" not in (env or {}):
            self.env["DATABASE_URL"] = postgres.fresh(url)
        self.valkey = Valkey(folder / "valkey", **self._process("valkey"))
        self.env["REDIS_URL"] = self.valkey.url
        self.processes.append(self.valkey)
        self.broker: Any = self.valkey
        if rabbits and breaks_broker:
            self.broker = rabbits.make(folder / "rabbitmq", **self._process("rabbitmq"))
            self.processes.append(self.broker)
        elif rabbits:
            self.broker = rabbits.share()
        if rabbits:
            self.env["BROKER_URL"] = self.broker.url

    # --- its parts ------------------------------------------------------------------------------------------------

    def start(self, *, workers: int = 1, concurrency: int = 2, server: str = "daphne") -> Stack:
        """All of it: database, Valkey, `workers` workers w1, w2, …, and a web server. Started at the same time."""
        self.prepare_database()
        for needed in self.servers():
            needed.start(wait=False)
        for needed in self.servers():
            needed.wait_ready()
        for number in range(1, workers + 1):
            self.start_worker(f"w{number}", concurrency=concurrency, wait=False)
        self.start_web(server, wait=False)
        for worker in self.workers.values():
            worker.wait_ready()
        assert self.web
        self.web.wait_ready()
        return self

    def servers(self) -> list[Process]:
        """What workers and web servers need: Valkey, and a broker of its own where it is another one."""
        own = isinstance(self.broker, Process) and self.broker is not self.valkey
        return [self.valkey, self.broker] if own else [self.valkey]

    def prepare_database(self) -> None:
        """Migrate, or copy the migrated SQLite file `template`."""
        if "DATABASE_URL" in self.env:
            postgres.create(self.env["DATABASE_URL"])
            self.manage("migrate", "--noinput", "-v", "0")
        elif self.template:
            shutil.copy(self.template, self.folder / "db.sqlite3")
        else:
            self.manage("migrate", "--noinput", "-v", "0")

    def start_worker(
        self,
        name: str = "w1",
        concurrency: int = 2,
        pool: str = "prefork",
        queues: Iterable[str] | None = None,
        *,
        args: Iterable[str] = (),
        env: dict[str, str] | None = None,
        wait: bool = True,
    ) -> Worker:
        """A worker that serves `queues` (default: all of its own). A name that was used before: it is replaced."""
        if name in self.workers:
            self.workers[name].kill()
        process = self._process(name, env)
        worker = Worker(name, concurrency=concurrency, pool=pool, queues=queues, args=args, **process)
        self.workers[name] = worker
        self.processes.append(worker)
        worker.start(wait=wait)
        return worker

    def start_huey(
        self,
        name: str = "h1",
        workers: int = 2,
        kind: str = "process",
        *,
        env: dict[str, str] | None = None,
        wait: bool = True,
    ) -> Worker:
        """A Huey worker. A name that was used before: it is replaced."""
        if name in self.workers:
            self.workers[name].kill()
        worker = self.workers[name] = HueyWorker(name, workers=workers, kind=kind, **self._process(name, env))
        self.processes.append(worker)
        worker.start(wait=wait)
        return worker

    def start_web(
        self,
        server: str = "daphne",
        *,
        args: Iterable[str] = (),
        env: dict[str, str] | None = None,
        wait: bool = True,
    ) -> WebServer:
        """A web server at `self.url`, always the same: the one before has to be stopped or killed first."""
        assert not (self.web and self.web.alive), "the address is taken by the running web server"
        pool = {"DATABASE_POOL": str(POOL)} if "DATABASE_URL" in self.env else {}  # as django_starter.serve.web sets it
        self.web = WebServer(server, self.port, args, **self._process(f"web-{server}", {**pool, **(env or {})}))
        self.processes.append(self.web)
        self.web.start(wait=wait)
        return self.web

    def manage(self, *arguments: str, timeout: float = 60.0) -> str:
        """`python manage.py …` in this stack's environment; what it printed. Fails when it fails."""
        return self.python("manage.py", *arguments, timeout=timeout)

    def shell(self, code: str, timeout: float = 60.0) -> str:
        """Python code in `manage.py shell`, as a person types it; what it printed."""
        return self.manage("shell", "-v", "0", "-c", code, timeout=timeout)

    def celery(self, *arguments: str, timeout: float = 60.0) -> str:
        """`celery -A django_starter …`; what it printed."""
        return self.python("-m", "celery", "-A", "django_starter", *arguments, timeout=timeout)

    def python(self, *arguments: str, timeout: float = 60.0) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    # --- its visitors ---------------------------------------------------------------------------------------------

    def visitor(self, name: str = "alice") -> Visitor:
        """The person of that name, with cookies of her own; the same one at every call."""
        if name not in self._visitors:
            self._visitors[name] = Visitor(self.url, name)
        return self._visitors[name]

    def get(self, path: str, **more: Any) -> Answer:
        return self.visitor().get(path, **more)

    def post(self, path: str, form: dict[str, Any] | None = None, **more: Any) -> Answer:
        return self.visitor().post(path, form, **more)

    def start_task(self, **json: Any) -> str:
        return self.visitor().start_task(**json)

    def start_job(self, name: str, *args: Any, **kwargs: Any) -> str:
        return self.visitor().start_job(name, *args, **kwargs)

    def task(self, task_id: str) -> dict[str, Any]:
        return self.visitor().task(task_id)

    def watch(self, task_id: str, **more: Any) -> Watcher:
        return self.visitor().watch(task_id, **more)

    def wait_state(self, task_id: str, *states: str, timeout: float = 30.0) -> dict[str, Any]:
        """The task over HTTP, once its state is one of `states`."""
        return (
            wait_until(
                lambda: (lambda task: task if task["state"] in states else None)(self.task(task_id)),
                timeout,
                lambda: f"{task_id} is one of {states}; it is {self.task(task_id)}",
            )
            or {}
        )

    # --- its end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        for visitor in self._visitors.values():
            visitor.close()
        for process in reversed(self.processes):
            process.kill()
        if "DATABASE_URL" in self.env:
            postgres.drop(self.env["DATABASE_URL"])

    def logs(self, last: int = 60) -> list[tuple[str, str]]:
        """For each log file: its name and its last lines. None when a test has removed the folder or a file of it."""
        logs = []
        for path in sorted((self.folder / "logs").glob("*")):
            try:
                lines = path.read_text(errors="replace").splitlines()
            except FileNotFoundError:
                continue
            logs.append((path.name, "\n".join(lines[-last:])))
        return logs

    def _process(self, name: str, env: dict[str, str] | None = None) -> dict[str, Any]:
        return {
            "env": {**self.env, **(env or {})},
            "log_path": self.folder / "logs" / f"{name}.log",
            "guard": self._guard,
        }


def web_answers(port: int) -> bool:
    """True if the web server answers with a page, or with a reason why not."""
    visitor = Visitor(f"http://127.0.0.1:{port}", timeout=5)
    try:
        visitor.get("/")
    except OSError:
        return False
    finally:
        visitor.close()
    return True
