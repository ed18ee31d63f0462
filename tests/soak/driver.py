"""Starts canvases of random shapes and ends, and cancels runs at random, until it is told to stop (SIGTERM).

python -m tests.soak.driver FOLDER SEED     in a stack's environment; prints what it did as JSON
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.live.settings")

import django

django.setup()

# ruff: noqa: E402 - the models come after Django
from celery import chain, chord, group
from django.db import OperationalError, connection

from django_starter.celery import app
from tasks import runs
from tasks.models import FINAL, TaskRun
from tests.live.testjobs import ends

#: How a run ends, and how often among all.
WAYS = {
    "result": 50,
    **dict.fromkeys(("error", "ignore", "reject", "requeue", "retry", "retry_in_transaction", "exit"), 3),
    **dict.fromkeys(("unpicklable", "own_failure", "retry_for_ever", "base_exception", "memory", "object"), 1),
    **dict.fromkeys(("replace", "replace_by_failure", "replace_by_chain", "replace_by_group"), 3),
    **dict.fromkeys(("replace_by_chord", "replace_in_transaction", "surrogate", "left_open"), 2),
    **dict.fromkeys(("nap", "same_word", "die_once", "soft", "hard"), 1),
}
#: A canvas in a canvas in a canvas, and no further.
DEPTH = 3
#: Runs that wait, at which the driver waits as well.
BACKLOG = 150


class Driver:
    """One random number generator decides everything."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._dice = random.Random(seed)
        self._folder = folder
        self._leaves = 0
        self.counts: dict[str, int] = {}
        self.stopping = False

    def leaf(self) -> Any:
        """One run, in a folder of its own, where its executions are counted."""
        how = self._dice.choices(list(WAYS), list(WAYS.values()))[0]
        self._leaves += 1
        folder = str(self._folder / f"{self._leaves // 1000}" / f"{self._leaves}")
        self._count(how)
        if how in ("soft", "hard"):
            return getattr(ends, how).si(folder=folder)
        made = ends.end.si(how=how, folder=folder)
        if self._dice.random() < 0.1:
            made.set(link_error=[ends.old_errback.s(folder=folder)])  # type: ignore[arg-type]  # a list is fine
        if self._dice.random() < 0.1:
            made.set(countdown=self._dice.uniform(0, 3))
        return made

    def shape(self, depth: int = DEPTH) -> Any:
        """A leaf, or a chain, group or chord of shapes."""
        kind = self._dice.choice(("leaf", "leaf", "chain", "group", "chord")) if depth else "leaf"
        if kind == "leaf":
            return self.leaf()
        self._count(kind)
        parts = [self.shape(depth - 1) for _ in range(self._dice.randint(2, 4))]
        if kind == "chain":
            return chain(*parts)
        if kind == "group":
            return group(*parts)
        return chord(parts, self.leaf())

    def step(self) -> None:
        """Start one, and now and then cancel one."""
        waiting = TaskRun.objects.exclude(state__in=FINAL)
        if waiting.count() < BACKLOG:
            self._try("start", lambda: self.shape().apply_async())
        if self._dice.random() < 0.3:
            ids = list(waiting.values_list("pk", flat=True)[:500])
            if ids:
                pk = self._dice.choice(ids)
                what = self._dice.choice(("cancel", "cancel", "revoke", "terminate"))
                if what == "cancel":
                    self._try(what, lambda: runs.cancel(pk))
                else:
                    self._try(what, lambda: app.control.revoke(pk, terminate=what == "terminate", signal="SIGKILL"))

    def _try(self, name: str, action: Any) -> None:
        """What the broker refuses is counted: a start is stored all the same, a control command is lost."""
        try:
            action()
            self._count(name)
        except OperationalError:
            connection.close()
            self._count(f"{name} while the database was away")
        except Exception as error:
            self._count(f"{name}: {type(error).__name__}: {str(error)[:80]}")

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1


def main() -> None:
    driver = Driver(Path(sys.argv[1]), int(sys.argv[2]))

    def stop(*_: Any) -> None:
        driver.stopping = True

    signal.signal(signal.SIGTERM, stop)
    deadline = time.monotonic() + 2 * 3600
    while not driver.stopping and time.monotonic() < deadline:
        driver.step()
        time.sleep(0.3)
    print(json.dumps(driver.counts), flush=True)


if __name__ == "__main__":
    main()
