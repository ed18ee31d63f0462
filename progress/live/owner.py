"""Whose is what is started: the user's of the request, else the session's; within a task, whose that task is."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse

from progress.own_address import OwnAddress


@dataclass(frozen=True, slots=True)
class Person:
    """A viewer: `key` is "user-…", "session-…" or "" (nobody); staff may watch everything."""

    key: str = ""
    is_staff: bool = False


_owner: contextvars.ContextVar[Callable[[], str] | None] = contextvars.ContextVar("progress_owner", default=None)


class OwnerMiddleware(OwnAddress):
    """While a request is answered, what is started is its caller's. Below Django's AuthenticationMiddleware.

    A project that does not include `progress.urls` has them below `/api/tasks/`.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.give(request)
        token = _owner.set(lambda: _key_of(request))
        try:
            return self.get_response(request)
        finally:
            _owner.reset(token)


def current_owner() -> str:
    """The key of whose it is that is started here; "" where nobody asked for it. May make a session."""
    ask = _owner.get()
    return ask() if ask else ""


def works_for(owner: str) -> None:
    """From here on, until a task ends, what is started is `owner`'s too."""
    _owner.set((lambda: owner) if owner else None)


def person_of(request: HttpRequest) -> Person:
    """The viewer behind an HTTP request; without the middleware for it, nobody."""
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        return Person(f"user-{user.pk}", bool(getattr(user, "is_staff", False)))
    session = getattr(request, "session", None)
    return Person(f"session-{session.session_key}" if session is not None and session.session_key else "")


def _key_of(request: HttpRequest) -> str:
    found = person_of(request).key
    session = getattr(request, "session", None)
    if found or session is None:
        return found
    session.create()  # an anonymous caller is known by it
    session.modified = True
    return person_of(request).key
