"""Whose is what is started here: a signed-in user's, or an anonymous viewer's, who is known by the session."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.utils import timezone

#: The day on which an anonymous visitor was last here.
SEEN = "seen"

#: Where a session remembers the key under which its visitor's runs are stored.
VISITOR = "tasks_visitor"


@dataclass(frozen=True, slots=True)
class Owner:
    """The person behind a request. Nothing is read or written before `key` is asked."""

    user: AbstractBaseUser | AnonymousUser
    session: SessionBase

    def key(self) -> tuple[int | None, str]:
        """(user id, session key) that a run of this person is stored with; an anonymous one gets a session here."""
        if self.user.is_authenticated:
            return self.user.pk, ""
        self.remember()
        key = self.session.session_key or ""
        if self.session.get(VISITOR) != key:
            self.session[VISITOR] = key  # a login keeps what is in a session, and gives it another key
        self.session.modified = True
        return None, key

    def remember(self) -> None:
        """Give an anonymous person a session, and let it last from today on; one write a day at most.

        Raises what the database says where none can be made.
        """
        if self.user.is_authenticated:
            return
        if not self.session.session_key:
            self.session.create()
        today = timezone.now().date().isoformat()
        if self.session.get(SEEN) != today:
            self.session[SEEN] = today


_owner: contextvars.ContextVar[Owner | None] = contextvars.ContextVar("tasks_owner", default=None)


def current_owner() -> Owner | None:
    """The person whose request is being answered; None in a worker, a shell or a command."""
    return _owner.get()


def enter(owner: Owner) -> contextvars.Token[Owner | None]:
    """From here on, what is started is this person's."""
    return _owner.set(owner)


def leave(token: contextvars.Token[Owner | None]) -> None:
    """Undo `enter`."""
    _owner.reset(token)
