"""A real process of a live test: started, watched, hurt and ended by its id."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from django_starter.processes.guard import Guard
from tests.waiting import wait_until


class Process:
    """One command in a process group of its own. What it prints goes to `log_path`, over several starts."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        env: Mapping[str, str],
        log_path: Path,
        guard: Guard,
        ready: Callable[[], bool],
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log_path = log_path
        self._cwd = cwd
        self._env = dict(env)
        self._guard = guard
        self._ready = ready
        self._popen: subprocess.Popen[bytes] | None = None
        self.log_start = 0  # where this start's output begins in the file

    def start(self, timeout: float = 30.0, *, wait: bool = True) -> None:
        """Start it and wait until it is ready to serve; fails with its output when that takes over `timeout` s."""
        assert not self.alive, f"{self.name} runs already"
        self.log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                cwd=self._cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._guard.watch(self._popen.pid)
        if wait:
            self.wait_ready(timeout)

    def wait_ready(self, timeout: float = 30.0) -> None:
        def ready() -> bool:
            assert self.alive, f"{self.name} ended with {self.exit_code} while it started:\n{self.log()}"
            return self._ready()

        wait_until(ready, timeout, lambda: f"{self.name} is ready; it printed:\n{self.log()}")

    @property
    def pid(self) -> int:
        assert self._popen, f"{self.name} was never started"
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._popen.poll() if self._popen else None

    def children(self) -> list[psutil.Process]:
        """The processes that it has started, and theirs (of a worker: the pool)."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def signal(self, number: int) -> None:
        """To the first process alone."""
        os.kill(self.pid, number)

    def stop(self, timeout: float = 15.0) -> None:
        """SIGTERM, as a deployment does it; fails when it takes longer than `timeout` seconds."""
        if self.alive:
            self.signal(signal.SIGTERM)
            wait_until(lambda: not self.alive, timeout, lambda: f"{self.name} ends on SIGTERM:\n{self.log()}")
        self.kill()

    def kill(self) -> None:
        """SIGKILL to all of it at once: the power cut."""
        if self._popen:
            self._signal_all(signal.SIGKILL)
            self._popen.wait()
            self._guard.forget(self._popen.pid)

    def kill_main(self) -> None:
        """SIGKILL to the first process alone, as the kernel's out-of-memory killer does it."""
        self.signal(signal.SIGKILL)
        assert self._popen
        self._popen.wait()

    def pause(self) -> None:
        """It holds its connections and does nothing: a machine that swaps, a frozen disk, a network that is cut."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def log(self, *, whole: bool = False) -> str:
        """What it has printed since it was started last."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as file:
            file.seek(0 if whole else self.log_start)
            return file.read().decode(errors="replace")

    def wait_for_line(self, text: str, timeout: float = 10.0) -> None:
        wait_until(lambda: text in self.log(), timeout, lambda: f"{self.name} prints {text!r}:\n{self.log()}")

    def memory(self) -> int:
        """Bytes that the process and its children hold in RAM."""
        total = 0
        for process in [psutil.Process(self.pid), *self.children()]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def cpu_seconds(self) -> float:
        """CPU time of the first process, user and system."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def _signal_all(self, number: int) -> None:
        assert self._popen
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, number)

    def __repr__(self) -> str:
        state = f"pid {self.pid}" if self.alive else f"ended with {self.exit_code}"
        return f"<{self.name}: {state}, {time.strftime('%H:%M:%S')}>"
