"""What this package asks of the project around it: who may watch what, and what is recorded for good.

`settings.PROGRESS_SOURCE` names an object of this shape. Its methods are synchronous and may use the database; they
are called in a thread, never in the event loop, and with many questions at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .messages import FINAL_STATES, TaskState

#: Whoever looks: an opaque, hashable value that the source gave out and understands.
Viewer = Any


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a socket brings: its cookies, the task that it is for (None: a list socket), the address it comes from."""

    cookies: dict[str, str]
    task_id: str | None
    address: str = ""


class Source(Protocol):
    """The project's answer to what is true and who may know it."""

    def admit(self, handshakes: Sequence[Handshake]) -> Sequence[tuple[Viewer, TaskState | None]]:
        """For each handshake, its viewer and the state of the task; None when it is unknown *or not theirs*."""

    def states(self, viewer: Viewer, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """The stored states of those of `task_ids` that `viewer` may watch."""

    def refresh(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """The stored states, for viewers who were admitted before."""

    def cancel(self, viewer: Viewer, task_id: str) -> bool:
        """Ask to cancel; False when the viewer may not, or there is nothing left to cancel."""

    def viewer_of(self, request: Any) -> Viewer:
        """Who sends this HTTP request."""

    def counted_as(self, viewer: Viewer, handshake: Handshake) -> str:
        """The name under which this viewer's sockets are counted together (`PROGRESS_MAX_SOCKETS`)."""

    def feeds(self, asked: Sequence[tuple[Viewer, str]]) -> Sequence[Any]:
        """For each viewer and name, what that feed says to them now, as JSON; None: there is no such feed."""


def get_source() -> Source:
    """The object that `PROGRESS_SOURCE` names."""
    path = getattr(settings, "PROGRESS_SOURCE", None)
    if not path:
        raise ImproperlyConfigured("PROGRESS_SOURCE must name the object that says who may watch which task.")
    source: Source = import_string(path)()
    return source


def merge(stored: TaskState, changing: Any) -> TaskState:
    """What a viewer must see: the stored state, with the live numbers where they are of the same attempt or newer.

    A recorded end always wins over a live record that did not hear of it.
    """
    if not changing:
        return stored
    attempt, live = stored.get("attempt", 0), changing.get("attempt", 0)
    if live < attempt:
        return stored
    if stored.get("state") in FINAL_STATES and changing.get("state") not in FINAL_STATES:
        numbers = ("current", "total", "percent", "unit", "message", "steps")
        kept = {key: changing[key] for key in numbers if key in changing and stored.get(key) in (None, "", [])}
        return cast(TaskState, {**stored, **kept})
    if live == attempt and changing.get("state") == "STARTED" and stored.get("state") in ("RETRY", "PENDING"):
        return stored  # the attempt is over; the record did not hear it
    merged = {**stored, **changing}
    merged["cancel_requested"] = bool(stored.get("cancel_requested") or changing.get("cancel_requested"))
    if changing.get("state") in ("PENDING", "RETRY") and (stored.get("state"), attempt) == (changing["state"], live):
        # Why it waits is known now, not then; but a row that was read before this wait began knows of another.
        merged["waiting"] = stored.get("waiting")
    return cast(TaskState, merged)
