"""Jobs that hang, each in something else; and one that hangs once, and then goes on where it was."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from pathlib import Path
from typing import Any

from celery import shared_task

import progress
from tasks.resume import checkpoint, resumable


def hang_in_sleep(gate: Path, secret: str) -> None:
    """Until the file `gate` is there, as all of them: in a pool of threads nothing ends it."""
    while not gate.exists():
        time.sleep(0.2)


def hang_in_a_lock(gate: Path, secret: str) -> None:
    """Of somebody who does not come back."""
    lock = threading.Lock()
    lock.acquire()
    while not gate.exists():
        lock.acquire(timeout=0.2)


def hang_in_a_socket_read(gate: Path, secret: str) -> None:
    """A peer that says nothing."""
    here, there = socket.socketpair()
    here.settimeout(0.2)
    while not gate.exists():
        with contextlib.suppress(TimeoutError):
            here.recv(1)
    there.close()


def hang_in_c(gate: Path, secret: str) -> None:
    """In C that holds the interpreter: no thread of the process runs. For longer than anybody lives."""
    re.match("(a|aa)+$", "a" * 60 + "b")


HANGS = {"sleep": hang_in_sleep, "lock": hang_in_a_lock, "socket": hang_in_a_socket_read, "c": hang_in_c}


@shared_task(name="testjobs.hangs")
def hangs(kind: str, gate: str) -> None:
    """Says one word, and hangs."""
    progress.set(message="row 612")
    HANGS[kind](Path(gate), "4711-do-not-show")


# Of a task's own options Celery's types know none.
QUIET: Any = {"quiet_after": 1}
STALLED: Any = {"stalled_after": 2, "quiet_after": 1}


@shared_task(name="testjobs.quiet_soon", **QUIET)
def quiet_soon(gate: str) -> str:
    """Tells one thing, and nothing more until the file `gate` is there."""
    progress.set(612, 1_000, message="row 612", unit="row")
    while not Path(gate).exists():
        time.sleep(0.05)
    progress.set(1_000)
    return "told"


@shared_task(name="testjobs.hangs_once", bind=True, **STALLED)
def hangs_once(self: Any, kind: str, gate: str) -> list[int]:
    """Hangs half way in its first attempt; returns what its last one did."""
    done = []
    for number in resumable(range(10), unit="row"):
        if number == 5 and self.request.attempt == 1:
            checkpoint.save(number, name="hung")
            time.sleep(1.5)  # its checkpoint is written
            HANGS[kind](Path(gate), "4711-do-not-show")
        done.append(number)
    return done
