"""Every line of every service on one terminal, each under the name of its service."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TextIO

#: The names of the services, and the colour of each (the second half of an ANSI escape).
COLOURS = {"start_dev": "1", "migrate": "90", "redis": "31", "worker": "33", "flower": "35", "web": "36"}
WIDTH = max(map(len, COLOURS))


class Output:
    """Writes whole lines, from any thread, and never fails: a closed terminal must not keep anything from ending."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # https://no-color.org: any value that is not empty
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def line(self, name: str, text: str) -> None:
        label = f"{name:<{WIDTH}} |"
        if self._coloured:
            label = f"\033[{COLOURS.get(name, '0')}m{label}\033[0m"
        self._write(sys.stdout, f"{label} {text}".rstrip())

    def say(self, text: str) -> None:
        """A word of start_dev itself."""
        self.line("start_dev", text)

    def error(self, text: str) -> None:
        """Why start_dev ends: one sentence, on standard error."""
        self._write(sys.stderr, f"{'start_dev':<{WIDTH}} | {text}")

    def _write(self, stream: TextIO, line: str) -> None:
        # The terminal may be gone (EIO, EPIPE), the interpreter may be ending (ValueError).
        with self._lock, contextlib.suppress(OSError, ValueError):
            print(line, file=stream, flush=True)
