"""Who is here: a signed-in user, or an anonymous visitor known by the session."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person behind a request. Nothing is read or written before `owner` is asked."""

    user: Any
    session: Any

    def owner(self) -> tuple[Any, str]:
        """(user id, session key) that a run of this visitor is stored with; an anonymous one gets a session here."""
        if self.user.is_authenticated:
            return self.user.pk, ""
        if not self.session.session_key:
            self.session.create()
        self.session.modified = True
        return None, self.session.session_key


_visitor: contextvars.ContextVar[Visitor | None] = contextvars.ContextVar("tasks_visitor", default=None)


def current_visitor() -> Visitor | None:
    """The visitor whose request is being answered; None in a worker, a shell or a command."""
    return _visitor.get()


def enter(visitor: Visitor) -> contextvars.Token[Visitor | None]:
    """From here on, what is started is this visitor's."""
    return _visitor.set(visitor)


def leave(token: contextvars.Token[Visitor | None]) -> None:
    """Undo `enter`."""
    _visitor.reset(token)
