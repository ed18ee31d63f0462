"""`redis_url` in DEV_DIR: the address of the Redis that a start script found or started, for shells beside it.

`port` and `flower_port` are left and read in the same way.

The file is locked by the process that makes its address true: start_dev.sh, or the embedded Valkey under supervisord.
The kernel drops the lock however that process ends, so a file that a `kill -9` left behind says nothing. No server
has to be asked for that, and no process id can be mistaken for one that another program has by now.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO


def read(path: Path) -> str:
    """The address in `path`, or "" where there is no such file or its process has ended. Never waits."""
    try:
        with path.open() as file:
            return file.read().strip() if _is_held(file) else ""
    except OSError:
        return ""


def leave(path: Path, url: str) -> int:
    """Replace `path` at once by one with `url`, readable by this user alone, as an address may hold a password.

    Returns the descriptor of its lock. The address counts until that is closed, at the latest with this process; a
    program that replaces this process keeps the lock where the descriptor was made inheritable.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    held = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(held, f"{url}\n".encode())
    fcntl.flock(held, fcntl.LOCK_EX)  # before the name is there: nobody ever sees it without its lock
    new.replace(path)
    return held


def _is_held(file: TextIO) -> bool:
    try:
        # Shared: many shells may look at the same time and are no lock to each other.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # it is held; or the file system knows no locks, and then the file is all that there is
        return True
    return False
