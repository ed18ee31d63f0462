"""`progress.source.Source` without a table: whoever started a task may watch it, and so may staff."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from ..messages import TaskState
from ..record import get_record
from ..source import NOBODY, Admitted, Handshake, OpenSocket, Viewer
from ..types import JSON
from . import starts
from .owner import Person, person_of


class LiveSource:
    """Asks the project's own sessions and users, and the hashes of `starts.py`."""

    def admit(self, handshakes: Sequence[Handshake]) -> Sequence[Admitted]:
        """Each distinct session is read once."""
        people = self._people([one.cookies for one in handshakes])
        known = starts.states(sorted({one.task_id for one in handshakes if one.task_id}))
        return [
            (person, self._seen(person, known).get(one.task_id or ""))
            for one, person in zip(handshakes, people, strict=True)
        ]

    def recheck(self, sockets: Sequence[OpenSocket]) -> Sequence[Viewer]:
        """`NOBODY` as soon as the session is another person's, or nobody's any more."""
        people = self._people([one.handshake.cookies for one in sockets])
        return [person if person == one.viewer else NOBODY for one, person in zip(sockets, people, strict=True)]

    def states(self, viewer: Viewer, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """Those of `task_ids` that `viewer` has started; all of them for staff."""
        return self._seen(cast(Person, viewer), starts.states(task_ids))

    def refresh(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """All of `task_ids` that are still known."""
        return {task_id: state for task_id, (_, state) in starts.states(task_ids).items()}

    def result(self, task_id: str) -> JSON:
        """What the record holds; a large one is in the project's own result backend."""
        return get_record().read(task_id).changing.get("result")

    def cancel(self, viewer: Viewer, task_id: str) -> bool:
        """Never: without a stored run nobody could say how it ended. `AsyncResult.revoke()` is the project's."""
        return False

    def viewer_of(self, request: HttpRequest) -> Person:
        """Who sends this HTTP request."""
        return person_of(request)

    def counted_as(self, viewer: Viewer, handshake: Handshake) -> str:
        """The user's sockets together, else those of an address."""
        key = cast(Person, viewer).key
        return key if key.startswith("user-") else handshake.address

    def feeds(self, asked: Sequence[tuple[Viewer, str]]) -> Sequence[JSON]:
        """There are none."""
        return [None] * len(asked)

    @staticmethod
    def _seen(person: Person, known: dict[str, tuple[str, TaskState]]) -> dict[str, TaskState]:
        return {
            task_id: state
            for task_id, (owner, state) in known.items()
            if person.is_staff or (owner and owner == person.key)
        }

    @staticmethod
    def _people(cookies: Sequence[dict[str, str]]) -> list[Person]:
        keys = [one.get(settings.SESSION_COOKIE_NAME, "") for one in cookies]
        found = {key: _person(key) for key in set(keys)}
        return [found[key] for key in keys]


def _person(session_key: str) -> Person:
    if not (session_key.isascii() and session_key.isalnum() and len(session_key) <= 40):
        return Person()
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    session.load()  # a key that nobody has is forgotten by this
    request = HttpRequest()
    request.session = session
    request.user = get_user(request)
    return person_of(request)
