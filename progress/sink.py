"""What a reporter needs of the place where its words go. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """What the record says to a publish: was a cancel asked for, has a newer attempt taken over, where is `seq`?"""

    cancel_requested: bool = False
    stale: bool = False
    seq: int = 0
    #: Somebody asks where the task is: takes its stack.
    asked: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What is known to have arrived: `lines` of its log and the `seq` of its newest frame.

    A publish whose answer was lost is repeated: by `lines` the record knows which it has. By `seq` it knows that
    Redis came back with a state of before.
    """

    lines: int = 0
    seq: int = 0


class Sink(Protocol):
    """Where a reporter's words go. May raise anything: the flusher keeps the newest state and tries again."""

    def publish(
        self, task_id: str, attempt: int, body: str | None, lines: list[str], told: Told, *, final: bool
    ) -> Reply:
        """Store and send `body` (JSON of `Changing`; None: only lines) and the log `lines` (JSON objects without n).

        The first of `lines` is this attempt's line number `told.lines + 1`.
        """

    def poll(self, asked: Sequence[tuple[str, int]]) -> Sequence[Reply]:
        """The reply that a publish of each (task, attempt) would give, in order, without publishing: one round trip."""


class Book(Protocol):
    """What keeps the checkpoints of an attempt: see `tasks.resume`."""

    def step_ended(self) -> None:
        """A step of the task has ended well. Raises nothing but what ends the task."""
