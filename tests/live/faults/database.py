"""A PostgreSQL of a test's own behind a cable that can be cut, and programs that use it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

from ..postgres import Postgres
from ..process import Process
from ..proxy import Proxy
from ..stack import ROOT, Stack

#: How each program begins: Django is set up, and `tell` prints a line at once.
PRELUDE = """
import django, time
django.setup()
def tell(*words): print(*words, flush=True)
"""


class Database:
    """The server, and the proxy through which a stack reaches it."""

    def __init__(self, folder: Path, guard: Any, env: dict[str, str]) -> None:
        self.server = Postgres(folder / "postgres", env=env, log_path=folder / "postgres.log", guard=guard)
        self.server.start()
        self.proxy = Proxy(self.server.port)

    @property
    def env(self) -> dict[str, str]:
        """For the stack: a pool in each process, as `serve.web` has it, would hide what a plain one does."""
        return {"DATABASE_URL": self.server.url(self.proxy.port), "STARTS_PER_MINUTE": "0"}

    def close(self) -> None:
        self.proxy.close()
        self.server.kill()


class Program(Process):
    """Python code of a person's own: neither a request nor a worker. It prints `ready` when it is at work."""

    def __init__(self, stack: Stack, name: str, code: str) -> None:
        path = stack.folder / f"{name}.py"
        path.write_text(PRELUDE + code)
        ready = lambda: "ready" in self.log()  # noqa: E731
        super().__init__(name, [_python(), path], cwd=ROOT, ready=ready, **stack._process(name))
        stack.processes.append(self)

    def lines(self) -> list[str]:
        """What it has told."""
        return [line for line in self.log().splitlines() if line.split(" ")[0] in ("ok", "error", "ready")]

    def wait_ok(self, timeout: float) -> float:
        """Seconds until something more works."""
        began, before = time.monotonic(), self._oks()
        wait_until(lambda: self._oks() > before, timeout, lambda: f"{self.name} works again:\n{self.log()[-3000:]}")
        return time.monotonic() - began

    def _oks(self) -> int:
        return sum(line.startswith("ok") for line in self.lines())


def _python() -> str:
    import sys

    return sys.executable
