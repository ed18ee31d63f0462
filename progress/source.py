"""What this package asks of the project around it: who may watch what, and what is recorded for good.

`settings.PROGRESS_SOURCE` names an object of this shape. Its methods are synchronous and may use the database; they
are called in a thread, never in the event loop, and with many questions at once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.utils.module_loading import import_string

from .messages import TaskState
from .types import JSON

#: Whoever looks: an opaque value that the source gave out and understands.
Viewer: TypeAlias = Hashable


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a socket brings: its cookies, the task that it is for (None: a list socket), the address it comes from."""

    cookies: dict[str, str]
    task_id: str | None
    address: str = ""


class _Nobody:
    def __repr__(self) -> str:
        return "NOBODY"


#: Whoever may not come in at all, or may not stay.
NOBODY: Final[Viewer] = _Nobody()


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """A socket that came in: with what, as whom, and the tasks that it watches."""

    handshake: Handshake
    viewer: Viewer
    task_ids: tuple[str, ...]


#: A viewer, and the state of the task that the handshake is for; None when it is unknown *or not theirs*.
Admitted: TypeAlias = tuple[Viewer, TaskState | None]


class Source(Protocol):
    """The project's answer to what is true and who may know it."""

    def admit(self, handshakes: Sequence[Handshake]) -> Sequence[Admitted]:
        """For each handshake, in order, its viewer and the state of its task. `NOBODY` is not let in."""

    def recheck(self, sockets: Sequence[OpenSocket]) -> Sequence[Viewer]:
        """For each socket, in order, its viewer now; asked every 2 s about all of a process, and before each command.

        `NOBODY` where they are not who they were any more (have logged out, were deactivated), or may no longer watch
        one of its tasks.
        """

    def states(self, viewer: Viewer, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """The stored states of those of `task_ids` that `viewer` may watch."""

    def result(self, task_id: str) -> JSON:
        """The whole result of a task of which a state said `result_omitted`; asked for a viewer who may see it."""

    def refresh(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """The stored states, for viewers who were admitted before. One that is missing does not exist any more."""

    def cancel(self, viewer: Viewer, task_id: str) -> bool:
        """Ask to cancel; False when the viewer may not, or there is nothing left to cancel."""

    def viewer_of(self, request: HttpRequest) -> Viewer:
        """Who sends this HTTP request."""

    def counted_as(self, viewer: Viewer, handshake: Handshake) -> str:
        """The name under which this viewer's sockets are counted together (`PROGRESS_MAX_SOCKETS`)."""

    def feeds(self, asked: Sequence[tuple[Viewer, str]]) -> Sequence[JSON]:
        """For each viewer and name, what that feed says to them now, as JSON; None: there is no such feed."""


def get_source() -> Source:
    """The object that `PROGRESS_SOURCE` names."""
    path = getattr(settings, "PROGRESS_SOURCE", None)
    if not path:
        raise ImproperlyConfigured("PROGRESS_SOURCE must name the object that says who may watch which task.")
    source: Source = import_string(path)()
    return source
