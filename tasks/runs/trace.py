"""The request id: from the click, through the task's message, to the last line that a worker logs about it."""

from __future__ import annotations

import contextvars
import re

#: What a proxy in front may name a request; anything else is replaced.
PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")

_request_id: contextvars.ContextVar[str] = contextvars.ContextVar("tasks_request_id", default="")


def request_id() -> str:
    """The id of the request that is answered here, or that led to the task that runs here; "" for neither."""
    return _request_id.get()


def follow(new: str) -> contextvars.Token[str]:
    """From here on, what is logged belongs to that request."""
    return _request_id.set(new)


def unfollow(token: contextvars.Token[str]) -> None:
    """Undo `follow`."""
    _request_id.reset(token)
