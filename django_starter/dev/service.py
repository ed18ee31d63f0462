"""One child of the supervisor with everything that it starts itself."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from django_starter.processes.guard import Guard, signal_group

from .output import Output


class Service:
    """A command in a process group of its own, so that a signal reaches all of it and nothing else.

    Its own session, too: Ctrl-C in the terminal goes to the supervisor alone, which ends the services in order.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        env: Mapping[str, str],
        guard: Guard,
        output: Output,
    ) -> None:
        self.name = name
        self._command = [str(part) for part in command]
        self._cwd = cwd
        self._env = dict(env)
        self._guard = guard
        self._output = output
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command,
            cwd=self._cwd,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=self._guard.watch_me,
        )
        assert self._process.stdout
        self._reader = threading.Thread(target=self._pass_on, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def started(self) -> bool:
        return self._process is not None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs (or was never started); negative: ended by that signal."""
        return self._process.poll() if self._process else None

    def signal(self, number: int) -> None:
        """To the first process only: it knows best how to end the others (a Celery worker gives tasks back)."""
        if self._process and self.running:
            self._process.send_signal(number)

    def kill(self) -> None:
        """The end of every process of the group, also of those that a dead parent left behind."""
        if not self._process:
            return
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._guard.forget(self._process.pid)
        if self._reader:
            self._reader.join(0.2)  # its last words; bounded, as something detached may hold the pipe open

    def _pass_on(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                self._output.line(self.name, line.rstrip())


def end(services: Iterable[Service], *, term: float, quit: float, hurry: Callable[[], bool]) -> None:
    """End `services` at the same time: SIGTERM, `term` seconds later SIGQUIT, `quit` seconds later SIGKILL.

    Returns as soon as all have ended. When `hurry()` turns true, what is left is killed at once.
    """
    services = [service for service in services if service.started]
    for number, seconds in ((signal.SIGTERM, term), (signal.SIGQUIT, quit)):
        if not seconds:
            continue
        for service in services:
            service.signal(number)
        deadline = time.monotonic() + seconds
        while any(service.running for service in services) and time.monotonic() < deadline and not hurry():
            time.sleep(0.05)
    for service in services:
        service.kill()
