"""Services that outlived their supervisord: after a kill -9 of it they go on, and keep the ports of the next start.

A service of ours is told from every other process by its environment, which supervisord has given it: our DEV_DIR, and
a name. The start script holds the lock of that folder, so whatever runs with it was left behind.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from django_starter.environment import DEV_DIR
from django_starter.processes.guard import running, signal_group

#: Seconds in which a service ends by itself: a worker gives its tasks back.
GRACE = 10.0


def end_orphans() -> dict[str, int]:
    """End what an earlier start left behind; the process id of each service that there was, by its name."""
    found = orphans()
    for pid in found.values():
        signal_first(pid)
    until = time.monotonic() + GRACE
    while any(running(pid) for pid in found.values()) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in found.values():
        signal_group(pid, signal.SIGKILL)
    while any(running(pid) for pid in found.values()) and time.monotonic() < until + 1:
        time.sleep(0.05)
    return found


def orphans() -> dict[str, int]:
    """The first process of each such service: supervisord makes it the leader of its group."""
    found: dict[str, int] = {}
    for pid, environment in environments():
        name = re.search(r"(?:^|[\0 ])SUPERVISOR_PROCESS_NAME=([\w-]+)", environment)
        ours = re.search(rf"(?:^|[\0 ])DEV_DIR={re.escape(str(DEV_DIR))}(?:[\0 ]|$)", environment)
        if name and ours and is_leader(pid):
            found[name[1]] = pid
    return found


def environments() -> Iterator[tuple[int, str]]:
    """Each process of this user, but this one, with its environment."""
    if Path("/proc/self/environ").exists():
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                try:
                    yield int(folder.name), (folder / "environ").read_bytes().decode("utf-8", "replace")
                except OSError:  # another user's, or it has just ended
                    continue
        return
    shown = subprocess.run(["ps", "-xEww", "-o", "pid=,command="], capture_output=True, text=True, check=False)
    for line in shown.stdout.splitlines():
        number, _, rest = line.strip().partition(" ")
        if number.isdigit() and int(number) != os.getpid():
            yield int(number), rest


def is_leader(pid: int) -> bool:
    """True if `pid` leads its process group."""
    try:
        return os.getpgid(pid) == pid
    except OSError:
        return False


def signal_first(pid: int) -> None:
    """Ask the first process alone: it ends the others itself, and a worker gives its tasks back."""
    try:
        os.kill(pid, signal.SIGTERM)
    except OSError:
        return
