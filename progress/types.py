"""Shapes that come from outside without a name of their own. Standard library only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

#: What `json.loads` gives.
JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

#: ASGI's scope and messages: their values are of many types, by the key.
Scope: TypeAlias = dict[str, Any]
Event: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Coroutine[object, None, None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class Child(Protocol):
    """A task of a group, as its parent sees it (Celery: AsyncResult)."""

    def ready(self) -> bool:
        """True once it has ended."""


class Group(Protocol):
    """Tasks that were started together (Celery: GroupResult)."""

    @property
    def id(self) -> str:
        """The group's own id."""

    @property
    def results(self) -> Iterable[Child]:
        """One for each task."""
