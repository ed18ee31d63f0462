"""A call that may hang, waited for so long and no longer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from django.db import connections

T = TypeVar("T")


def bounded(call: Callable[[], T], seconds: float) -> T | None:
    """What `call` returns or raises; None when it does neither within `seconds`."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            try:
                result = call()
            finally:
                connections.close_all()  # those of this thread
        except BaseException as error:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    # A daemon: a question that hangs for ever must not keep the process from ending.
    threading.Thread(target=run, name="doctor", daemon=True).start()
    done, _ = wait([answer], seconds)
    return answer.result() if done else None
