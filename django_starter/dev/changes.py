"""Tells when Python code of the project has changed, so that the worker can be started again with it."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

from watchfiles import watch

#: Folders at the root whose Python code no worker runs.
NOT_WORKED_WITH = {"tests", "benchmarks", "docs", "node_modules", "staticfiles", "venv", "env"}


class Changes:
    """A thread that watches; `take` says what has changed since it was asked last."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._last = -math.inf
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="changes", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def take(self) -> list[str]:
        """The files, as paths from the root, that have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return sorted(changed)

    def age(self) -> float:
        """Seconds since the last change."""
        return time.monotonic() - self._last

    def _folders(self) -> list[Path]:
        """Where the code is. Not the root itself: watching .venv would cost thousands of inotify watches."""
        return sorted(
            path
            for path in self._root.iterdir()
            if path.is_dir() and not path.name.startswith(".") and path.name not in NOT_WORKED_WITH
        )

    def _watch(self) -> None:
        while not self._stop.is_set():
            folders = self._folders()
            for changes in watch(
                *folders,
                watch_filter=lambda _change, path: path.endswith(".py"),
                stop_event=self._stop,
                step=200,  # ms of quiet that end a burst: a checkout of a branch is one change, not fifty
                raise_interrupt=False,  # Ctrl-C is the main thread's
            ):
                with self._lock:
                    self._last = time.monotonic()
                    self._changed |= {self._name(path) for _change, path in changes}
                if self._folders() != folders:  # a new app: `manage.py startapp` and a line in the settings
                    break

    def _name(self, path: str) -> str:
        try:
            return str(Path(path).relative_to(self._root))
        except ValueError:
            return path
