"""Starts everything, waits until all of it answers, and ends all of it when one part ends or a person asks for it."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from django_starter import redis_file
from django_starter.celery import app
from django_starter.engines import worker_beside
from django_starter.environment import BASE_DIR, DEFAULT_REDIS_URL, DEV_DIR, PROJECT, REDIS_URL_FILE, script_name
from django_starter.errors import Stopped, Trouble
from django_starter.processes.flower import flower_prefix
from django_starter.processes.guard import Guard
from django_starter.processes.ports import free_port, is_free, port_of
from django_starter.processes.settings import try_settings
from django_starter.processes.valkey import VALKEY_FOLDER, answers_ping, shown, valkey_command

from .changes import Changes
from .output import Output
from .service import Service, end

#: Seconds that a service gets to answer. A cold laptop needs about five.
START_TIMEOUT = 60

#: Seconds after a change of code in which a worker or web server that ends by itself is forgiven.
CHANGE_TIMEOUT = 30

#: Seconds a running task gets to finish when the worker has to end; then it is given back to the queue. Short: a
#: person who presses Ctrl-C or saves a file waits for it.
SOFT_SHUTDOWN = 2

#: Seconds after which SIGTERM becomes SIGQUIT, and SIGQUIT becomes SIGKILL. With Redis' own, the sum stays below 10.
TERM, QUIT = 4.5, 1.5
REDIS_TERM = 2.0


class Supervisor:
    def __init__(self, output: Output) -> None:
        self._output = output
        self._port = port_of(os.environ, "PORT", 8001)
        self._flower_port = port_of(os.environ, "FLOWER_PORT", 8054)
        self._redis_text = ""
        self._stop = threading.Event()
        self._hurry = threading.Event()  # a second Ctrl-C: no grace
        self._guard = Guard()
        self._changes = Changes(BASE_DIR)
        self._redis: Service | None = None
        self._workers: list[Service] = []  # Celery's first
        self._services: list[Service] = []  # all but Redis, which ends last: the worker gives its tasks back to it
        self._essential: dict[str, Service] = {}  # what may not end while the rest runs
        self._worker_is_new = False  # it was started with changed code and has not answered since
        self._asking: threading.Thread | None = None  # whether the worker is there
        self._answered = False
        self._waiting: list[Service] = []  # they could not run the changed code and wait for the next change

    def run(self) -> int:
        """The whole story. Returns 0 when a person asked for the end; raises Trouble when it came by itself."""
        self._listen_for_signals()
        try:
            self._refuse_taken_ports()
            self._migrate()
            self._find_redis()
            self._start_services()
            self._announce()
            self._watch()
        except Stopped:
            self._output.say("Stopping …")
        finally:
            self._end_everything()
        self._output.say("Everything is stopped.")
        return 0

    # --- the chapters, in their order ---------------------------------------------------------------------------

    def _listen_for_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # started under nohup, which asked for just that
            signal.signal(number, self._on_signal)

    def _refuse_taken_ports(self) -> None:
        ports = {"PORT": self._port, "FLOWER_PORT": self._flower_port}
        if self._port == self._flower_port:
            raise Trouble(f"PORT and FLOWER_PORT are both {self._port}: give each its own.")
        for name, port in ports.items():
            if not is_free(port):
                raise Trouble(
                    f"Port {port} is taken by another program: stop that one, or choose another port, "
                    f"for example {name}={free_port()} ./start_dev.sh"
                )

    def _migrate(self) -> None:
        migrate = self._service("migrate", "manage.py", "migrate", "--noinput")
        migrate.start()
        while migrate.running:
            self._pause(0.05)
        if migrate.exit_code:
            raise Trouble("The database could not be migrated: the lines above say why.")
        migrate.kill()
        self._services.remove(migrate)

    def _find_redis(self) -> None:
        """REDIS_URL when it is set; else one that answers on localhost:6379; else the embedded Valkey."""
        if url := os.environ.get("REDIS_URL"):
            if not self._answers(url):
                raise Trouble(f"Nothing answers at REDIS_URL={shown(url)}: start that server, or unset REDIS_URL.")
            self._redis_text = f"{shown(url)}  (from REDIS_URL)"
        elif self._answers(DEFAULT_REDIS_URL):
            url = DEFAULT_REDIS_URL
            self._redis_text = f"{url}  (it was running already)"
        else:
            url = self._start_valkey()
            self._redis_text = f"{url}  (embedded Valkey, data in {self._near(VALKEY_FOLDER)})"
        # For our children, and for our own ping of the worker.
        os.environ["REDIS_URL"] = url
        self._output.say(f"Redis: {self._redis_text}")
        redis_file.leave(REDIS_URL_FILE, url)  # for the shells beside this one; it counts while this process lives

    def _start_valkey(self) -> str:
        folder = VALKEY_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        url = f"redis://127.0.0.1:{port}/0"
        self._redis = Service(
            "redis",
            valkey_command(folder, port),
            cwd=folder,
            env=dict(os.environ),
            guard=self._guard,
            output=self._output,
        )
        self._redis.start()
        deadline = time.monotonic() + START_TIMEOUT
        while not answers_ping(url):
            if not self._redis.running or time.monotonic() > deadline:
                raise Trouble(
                    f"The embedded Valkey could not start: its lines above say why "
                    f"(its data is in {self._near(folder)})."
                )
            self._pause(0.05)
        return url

    def _start_services(self) -> None:
        celery = ("-m", "celery", "-A", PROJECT)
        # A name of its own: it tells this worker from one in another terminal or of another checkout.
        self._worker_name = f"dev-{self._port}@{platform.node() or 'localhost'}"
        self._worker = self._service(
            "worker",
            *celery,
            *("worker", "-l", "info", "--concurrency", "4", "--without-mingle", "-n", self._worker_name),
            *("--", f"worker.soft_shutdown_timeout={SOFT_SHUTDOWN}"),
            # SIGTERM alone waits for running tasks without end.
            REMAP_SIGTERM="SIGQUIT",
            # macOS ends forked children that touch system libraries, unless it is told not to.
            OBJC_DISABLE_INITIALIZE_FORK_SAFETY="YES",
        )
        web = self._service(
            "web",
            *("manage.py", "runserver", f"127.0.0.1:{self._port}"),
            DEBUG=os.environ.get("DEBUG", "1"),
            SAMPLE_SOURCE=os.environ.get("SAMPLE_SOURCE", "1"),
        )
        flower = self._service(
            "flower",
            *(*celery, "flower", "--address=127.0.0.1", f"--port={self._flower_port}", "--logging=warning"),
            FLOWER_URL_PREFIX=flower_prefix(),
        )

        self._workers = [self._worker]
        if command := worker_beside():
            self._workers.append(self._service("huey", *command, OBJC_DISABLE_INITIALIZE_FORK_SAFETY="YES"))
        self._reloading = (*self._workers, web)
        self._output.say("Starting the worker, the web server and Flower …")
        self._start("The worker", self._worker)
        self._start("The web server", web)
        for further in self._workers[1:]:
            self._start("Huey's worker", further)
        self._wait_for("The worker", self._worker_answers)
        self._wait_for("The web server", lambda: http_answers(self._port))
        self._start("Flower", flower)  # last: it asks the worker at once, and complains when nobody answers
        self._wait_for("Flower", lambda: http_answers(self._flower_port))

    def _announce(self) -> None:
        for text in (
            "",
            f"Page     http://localhost:{self._port}{script_name() or ''}/",
            f"Flower   http://localhost:{self._flower_port}/{flower_prefix()}",
            f"Redis    {self._redis_text}",
            "Stop     Ctrl-C",
            "",
        ):
            self._output.say(text)

    def _watch(self) -> None:
        """Until Stopped or Trouble: the web server reloads itself, the worker is reloaded here."""
        self._changes.start()
        while True:
            self._pause(0.2)
            if changed := self._changes.take():
                self._take_up(changed)
            elif self._worker_is_new and self._worker.running and self._worker_answers():
                self._worker_is_new = False
                self._output.say("The worker runs the changed code.")

    def _take_up(self, changed: list[str]) -> None:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        self._output.say(f"{changed[0]}{more} changed: the worker starts again.")
        services = [*self._workers, *(service for service in self._waiting if service not in self._workers)]
        end(services, term=TERM, quit=QUIT, hurry=self._stop.is_set)
        if self._stop.is_set():
            return
        self._waiting.clear()
        self._worker_is_new = True
        for service in services:
            service.start()

    def _end_everything(self) -> None:
        self._changes.stop()
        end(self._services, term=TERM, quit=QUIT, hurry=self._hurry.is_set)
        if self._redis:
            end([self._redis], term=REDIS_TERM, quit=0, hurry=self._hurry.is_set)
        REDIS_URL_FILE.unlink(missing_ok=True)
        self._guard.close()

    # --- what they are told with --------------------------------------------------------------------------------

    def _service(self, name: str, *arguments: str, **env: str) -> Service:
        """A Python program of this project, which knows our Redis."""
        service = Service(
            name,
            [sys.executable, *arguments],
            cwd=BASE_DIR,
            env={
                **os.environ,
                "DEV_DIR": str(DEV_DIR),
                "PYTHONUNBUFFERED": "1",
                **env,
            },
            guard=self._guard,
            output=self._output,
        )
        self._services.append(service)
        return service

    def _start(self, name: str, service: Service) -> None:
        service.start()
        self._essential[name] = service

    def _wait_for(self, name: str, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not answers():
            if time.monotonic() > deadline:
                raise Trouble(f"{name} did not answer within {START_TIMEOUT} s: its lines above say why.")
            self._pause(0.1)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set() and number == signal.SIGINT:
            self._hurry.set()
        self._stop.set()

    def _pause(self, seconds: float) -> None:
        """Every wait passes here: raises Stopped when the end is asked for, Trouble when a service has died."""
        if self._stop.wait(seconds):
            raise Stopped
        if self._redis and not self._redis.running:
            raise Trouble(f"The embedded Valkey died ({how(self._redis)}), so everything else was stopped.")
        for name, service in self._essential.items():
            if service.running or service in self._waiting:
                continue
            if service in self._reloading and (service.exit_code or 0) > 0 and self._changes.age() < CHANGE_TIMEOUT:
                # It ended by itself: code that is half written was saved. That is no reason to end the rest.
                self._waiting.append(service)
                self._output.say(f"{name} cannot run the changed code; it tries again at the next change.")
                continue
            raise Trouble(f"{name} died ({how(service)}), so everything else was stopped.")

    def _worker_answers(self) -> bool:
        """True once the worker has answered a ping over the broker. Asks until then, and never waits.

        In a thread, as the broker's client tries on and on while Redis is away, and Ctrl-C must not wait for that.
        """
        if self._asking and self._asking.is_alive():
            return False
        answered, self._answered = self._answered, False
        if not answered:
            self._asking = threading.Thread(target=self._ask_worker, daemon=True)
            self._asking.start()
        return answered

    def _ask_worker(self) -> None:
        with contextlib.suppress(Exception):  # whatever the client raises: it is no answer
            self._answered = bool(app.control.ping(destination=[self._worker_name], timeout=0.5))

    def _answers(self, url: str) -> bool:
        try:
            return answers_ping(url)
        except ValueError as error:
            raise Trouble(f"REDIS_URL={shown(url)} is not an address of Redis: {error}") from error

    def _near(self, path: Path) -> str:
        """`path` as a reader in the repository's root would write it."""
        return str(path.relative_to(BASE_DIR)) if path.is_relative_to(BASE_DIR) else str(path)


def http_answers(port: int) -> bool:
    """True if a web server answers on `port`, whatever it says."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know our localhost
    try:
        opener.open(f"http://127.0.0.1:{port}/", timeout=1.5).close()
    except urllib.error.HTTPError as error:
        error.close()  # also an answer
    except OSError:
        return False
    return True


def how(service: Service) -> str:
    """How a service ended: "exit code 1", "SIGKILL"."""
    code = service.exit_code
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def main() -> int:
    output = Output()
    try:
        try_settings()
        return Supervisor(output).run()
    except Trouble as trouble:
        output.error(str(trouble))  # the last line, after those of whatever ended
        return 1
