"""Which tasks a person may start from the home page, and what they are asked before.

    @startable(form=OrdersForm)
    @shared_task
    def import_orders(count=200): ...

The form's fields are the task's arguments; what is left empty is left out. It needs no template and no view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

from django import forms
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")


class Accepted(Protocol):
    """What a start gives back (Celery: AsyncResult)."""

    @property
    def id(self) -> str:
        """The run's id."""


class Task(Protocol):
    """A task that can be started (Celery: ours)."""

    @property
    def name(self) -> str:
        """With its module."""

    def delay(self, **kwargs: object) -> Accepted:
        """Start it with these arguments."""

    def apply_async(self, *, kwargs: dict[str, object], idempotency_key: str | None = None) -> Accepted:
        """The same; the same key from the same owner within 24 h gives the same run."""


@dataclass(frozen=True, slots=True)
class Startable:
    """A task, and the form that asks for its arguments."""

    task: Task
    form: type[forms.Form]

    @property
    def name(self) -> str:
        """What it is called in Start Task: the task's name without its module."""
        return self.task.name.rpartition(".")[2]


_registered: list[Startable] = []


def startable(form: type[forms.Form] = forms.Form) -> Callable[[T], T]:
    """Offer a Celery task in Start Task, with the fields of `form`. Raises ImproperlyConfigured for a field `task`."""
    if "task" in form.base_fields:
        raise ImproperlyConfigured(f"{form.__name__} may not have a field `task`: Start Task has one itself.")

    def register(task: T) -> T:
        _registered.append(Startable(cast(Task, task), form))
        return task

    return register


def startables() -> dict[str, Startable]:
    """What Start Task offers, by name; the first one is what it starts when nobody says which."""
    found: dict[str, Startable] = {}
    for one in _registered:
        held = found.setdefault(one.name, one)
        if held.task.name != one.task.name:
            raise ImproperlyConfigured(f"Start Task cannot tell {held.task.name} from {one.task.name}: rename one.")
    return found
