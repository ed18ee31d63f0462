"""What the life of a run asks of the engine that does the work, and where an engine says that it is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from django.db.models import Q

from progress.types import JSON

if TYPE_CHECKING:
    from tasks.models import TaskGroup, TaskRun

    from .accepting import Start


class RunError(Exception):
    """The base of what this package raises on purpose."""


class NotAccepted(RunError, ValueError):
    """A start that cannot be stored; the message says which limit and what came."""


class NoEngine(NotAccepted, LookupError):
    """A run of a task engine that is not set up in this process."""


class KeyReused(NotAccepted):
    """The owner has used this Idempotency-Key for the same task with other arguments."""


class Engine(Protocol):
    """A task queue, such as Celery. Its own room registers one under the name that its runs have in their rows."""

    #: What rows say: see `TaskRun.engine`.
    name: str

    def publish(self, run: TaskRun) -> None:
        """Put the run's message into its queue, once more if it was there before: a copy cannot claim. Raises."""

    def publish_many(self, found: Sequence[TaskRun]) -> list[TaskRun]:
        """`publish` of each, in few round trips. Returns those whose own message is at fault; raises for a broker that
        is away, and then some may be in their queues and some not."""

    def is_away(self, error: Exception) -> bool:
        """True if `error` says that the broker does not answer or takes nothing now; False if the message is bad."""

    def count(self, queue: str) -> int:
        """How many messages wait in `queue`, of every priority. Raises when the broker cannot say."""

    def answers(self) -> bool:
        """True if the broker answered just now. Never raises, and waits half a second at most."""

    def is_separate(self) -> bool:
        """True if messages travel through another server than the Redis that workers beat into."""

    def queues(self) -> set[str]:
        """The queues to which the tasks of this project go."""

    def start_command(self, queue: str) -> str:
        """The command that starts a worker for `queue`."""

    def in_flower(self) -> bool:
        """True if Flower has a page of each of its runs."""

    def arguments(self, run: TaskRun) -> tuple[list[object], dict[str, object]]:
        """The run's arguments as the task gets them."""

    def value(self, stored: JSON) -> object:
        """A stored argument or result as it was given: a date, a decimal, an id."""

    def again(self, run: TaskRun) -> Start:
        """A start with the arguments of an ended run. Raises `NotAccepted` when its task does not exist any more."""

    def is_followed(self, run: TaskRun, *, ended_well: bool = True) -> bool:
        """True if `free` would accept something; if not `ended_well`, if `failed` would call somebody."""

    def free(self, run: TaskRun) -> None:
        """The run has ended well: accept what follows it (its next link, its callbacks)."""

    def failed(self, run: TaskRun) -> None:
        """The run has ended badly: call its error callbacks."""

    def complete(self, group: TaskGroup) -> None:
        """All parts of a group have ended: start its body, or end it with the error of a part."""

    def tracks_everything(self) -> bool:
        """True if every task of this project is a run from its start."""

    def priorities(self, priority: int | None) -> tuple[Q, Q]:
        """Filters of runs whose priority lets them go before one with `priority`, and of those that are its equals."""


#: By name. Celery's registers itself when Django is set up; further ones when their settings are there.
_engines: dict[str, Engine] = {}


def register(engine: Engine) -> None:
    """Say that `engine` does the runs of its name in this process."""
    _engines[engine.name] = engine


def get_engine(name: str) -> Engine:
    """The engine of that name. Raises `NoEngine` where it is not set up."""
    try:
        return _engines[name]
    except KeyError:
        raise NoEngine(f"The task engine {name!r} is not set up here.") from None


def engines() -> list[Engine]:
    """All that are set up in this process."""
    return list(_engines.values())
