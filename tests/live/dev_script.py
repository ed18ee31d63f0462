"""The real ./start_dev.sh, started as a person starts it, with ports and a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from django_starter.processes.guard import Guard
from django_starter.processes.ports import free_port
from tests.conftest import OURS
from tests.waiting import wait_until

from .stack import ROOT


class DevScript:
    """One call of start_dev.sh of the checkout `root`, from the folder `cwd`."""

    def __init__(self, guard: Guard, *, root: Path = ROOT, dev_dir: Path | None = None, **env: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="django_starter-dev-"))
        self.dev_dir = dev_dir or self.folder / "dev"
        self.root = root
        env = {"PORT": str(free_port()), "FLOWER_PORT": str(free_port()), **env}
        self.port, self.flower_port = env["PORT"], env["FLOWER_PORT"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.flower_url = f"http://127.0.0.1:{self.flower_port}"
        self._guard = guard
        self._log = self.folder / "output"
        self._env = {key: value for key, value in os.environ.items() if key not in (*OURS, "DJANGO_SETTINGS_MODULE")}
        self._env |= {"DEV_DIR": str(self.dev_dir), **env}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, cwd: Path = Path("/"), script: Path | None = None) -> DevScript:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(script or self.root / "start_dev.sh")],
                cwd=cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._guard.watch(self._process.pid)
        return self

    def wait_ready(self, timeout: float = 90.0) -> DevScript:
        """Until it has printed the addresses, which it does once everything answers."""

        def ready() -> bool:
            assert self.exit_code is None, f"start_dev.sh ended with {self.exit_code}:\n{self.output()}"
            return "Stop     Ctrl-C" in self.output()

        wait_until(ready, timeout, lambda: f"start_dev.sh is up:\n{self.output()}", every=0.2)
        return self

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        assert self._process
        return self._process.poll()

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for_line(self, text: str, timeout: float = 30.0, *, after: int = 0) -> None:
        wait_until(
            lambda: text in self.output()[after:], timeout, lambda: f"it prints {text!r}:\n{self.output()}", every=0.1
        )

    def wait_exit(self, timeout: float) -> int:
        wait_until(lambda: self.exit_code is not None, timeout, lambda: f"it ends:\n{self.output()}")
        assert self.exit_code is not None
        return self.exit_code

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def processes(self) -> list[psutil.Process]:
        """Everything that it has started and that still runs, also what has lost its parent."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # By its folder, too: Valkey writes its title over its environment.
            return process.environ().get("DEV_DIR") == str(self.dev_dir) or self.dev_dir in Path(process.cwd()).parents
        except psutil.Error:
            return False

    def find(self, *words: str) -> psutil.Process | None:
        """The first process, by its id, whose command line has all of `words`."""
        found = [process for process in self.processes() if all(word in command_line(process) for word in words)]
        return min(found, key=lambda process: process.pid, default=None)

    def process(self, *words: str) -> psutil.Process:
        """As `find`, of a process that has to be there."""
        process = self.find(*words)
        assert process, f"no process with {words} among {[command_line(process) for process in self.processes()]}"
        return process

    def wait_gone(self, timeout: float) -> float:
        """Until none of its processes is left; how many seconds it took."""
        began = time.monotonic()
        wait_until(lambda: not self.processes(), timeout, lambda: f"all end: {self.processes()}\n{self.output()}")
        return time.monotonic() - began

    def close(self) -> None:
        """End it whatever state it is in, and delete its folder."""
        if self._process:
            if self.exit_code is None:
                self.signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(12)
            for process in self.processes():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if self.exit_code is None:
                self._process.kill()
                self._process.wait()
            self._guard.forget(self._process.pid)
        shutil.rmtree(self.folder, ignore_errors=True)


def command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
