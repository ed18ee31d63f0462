"""The thread that writes checkpoints, once a second: the task's loop has no clock, and a slow item delays no write."""

from __future__ import annotations

import logging
import os
import threading
import time

from .book import Book, here

logger = logging.getLogger(__name__)

#: Seconds between two writes of one task: this much work is done again after `kill -9`, at most.
WRITE_EVERY = 1.0


class Pen:
    """Writes for the open books of this process. Its thread lives while there are some."""

    def __init__(self) -> None:
        self._books: dict[int, Book] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def add(self, book: Book) -> None:
        """Look after `book` until it is closed."""
        with self._lock:
            self._books[id(book)] = book
            self._closed.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tasks-pen", daemon=True)
                self._thread.start()

    def remove(self, book: Book) -> None:
        """Write no more for `book`."""
        with self._lock:
            self._books.pop(id(book), None)
            if not self._books:
                self._closed.set()

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            due = max(due + WRITE_EVERY, time.monotonic())
            self._closed.wait(max(due - time.monotonic(), 0.0))
            with self._lock:
                books = list(self._books.values())
                if not books:
                    self._thread = None
                    here().close()
                    return
            for book in books:
                self._write(book)

    def _write(self, book: Book) -> None:
        connection = here()
        try:
            if connection.connection is not None:
                connection.close_if_unusable_or_obsolete()
            book.flush()
        except Exception:  # the thread serves all tasks of the process
            logger.exception("A checkpoint could not be written; the next try follows.")
        if connection.errors_occurred:
            connection.close()


_pen: Pen | None = None


def get_pen() -> Pen:
    """This process's pen."""
    global _pen
    if _pen is None:
        _pen = Pen()
    return _pen


def _forget_pen() -> None:
    global _pen
    _pen = None


if hasattr(os, "register_at_fork"):
    # A thread does not survive a fork: the child makes its own.
    os.register_at_fork(after_in_child=_forget_pen)
