"""The stack of a pool process, printed by itself on a signal of its parent: also while C code holds the interpreter.

The handler is `faulthandler`'s, which is C as well. It is set in the parent before it forks, and so is the file into
which all processes write: an open file without a name. The parent asks one at a time.
"""

from __future__ import annotations

import faulthandler
import linecache
import os
import re
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from progress.where import within

#: Nobody else's: Celery has USR1 and USR2. None where there are no more (macOS): then nobody is asked like this.
SIGNAL = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else None
#: Seconds for the process to print it.
WITHIN = 0.5
LOOK_EVERY = 0.01

_file: IO[bytes] | None = None
_lock = threading.Lock()
_CALL = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)')


def listen() -> None:
    """In the parent, before its first fork."""
    global _file
    if _file is None and SIGNAL is not None:
        _file = tempfile.TemporaryFile()  # noqa: SIM115  # for as long as the process lives
        faulthandler.register(SIGNAL, file=_file, all_threads=True, chain=False)


def stack_of(pid: int, base: str) -> str:
    """The stack of the task in the process `pid`, a child of this one; "" where it prints none. `base`: as `within`."""
    if _file is None or SIGNAL is None or not _listens(pid):
        return ""
    with _lock:
        fd = _file.fileno()
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)  # parent and children share the place as well
        try:
            os.kill(pid, SIGNAL)
        except OSError:
            return ""
        return read(_whole(fd), base)


def _listens(pid: int) -> bool:
    """True if that process has the handler: without it the signal would end the process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
    return caught is not None and SIGNAL is not None and bool(int(caught[1], 16) >> (SIGNAL - 1) & 1)


def _whole(fd: int) -> str:
    """What is printed, once nothing is added any more."""
    until, text = time.monotonic() + WITHIN, b""
    while time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        now = os.pread(fd, 1_000_000, 0)
        if now and now == text:
            break
        text = now
    return text.decode(errors="replace")


def read(printed: str, base: str) -> str:
    """Of all threads that `faulthandler` has printed, the one in which `base` calls the task, as Python prints it."""
    threads = [part for part in re.split(r"\n\s*\n", printed) if "most recent call first" in part]
    ours = [part for part in threads if f'"{base}"' in part] or [part for part in threads if part.startswith("Current")]
    return within([_call(found) for found in reversed(list(_CALL.finditer(ours[0])))], base) if ours else ""


def _call(found: re.Match[str]) -> str:
    line = linecache.getline(found["file"], int(found["line"])).strip()
    return f'  File "{found["file"]}", line {found["line"]}, in {found["name"]}' + (f"\n    {line}" if line else "")
