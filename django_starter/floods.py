"""One line, with a count, of what a web server would say once for each of a thousand sockets."""

from __future__ import annotations

import logging
import threading

#: These have something to say for each connection.
PER_CONNECTION = (
    *("daphne", "uvicorn.error", "asyncio", "twisted", "autobahn", "websockets"),
    *("progress.socket", "progress.outbox"),
)
#: Seconds for which the same warning is counted.
WINDOW = 10.0


class Floods(logging.Filter):
    """Lets through the first warning from each place, and after `WINDOW` seconds the last one with their number."""

    def __init__(self, window: float = WINDOW) -> None:
        super().__init__()
        self._window = window
        self._lock = threading.Lock()
        self._more: dict[tuple[str, str, int], list[logging.LogRecord]] = {}
        self._counts: dict[tuple[str, str, int], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that is only counted."""
        if record.levelno < logging.WARNING or not record.name.startswith(PER_CONNECTION) or hasattr(record, "flood"):
            return True
        place = (record.name, record.pathname, record.lineno)
        with self._lock:
            if place in self._counts:
                self._counts[place] += 1
                self._more[place] = [record]
                return False
            self._counts[place] = 1
        timer = threading.Timer(self._window, self._say, [place])
        timer.daemon = True
        timer.start()
        return True

    def _say(self, place: tuple[str, str, int]) -> None:
        with self._lock:
            count = self._counts.pop(place)
            last = self._more.pop(place, [])
        for record in last:
            record.msg = f"{record.getMessage()} ({count:,} such lines within {self._window:.0f} s)"
            record.args = ()
            record.flood = count
            logging.getLogger(record.name).handle(record)
