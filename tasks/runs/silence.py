"""Running tasks that have told nothing new for longer than they usually are silent. Suspicion moves no state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from progress.held import Since
from progress.messages import Changing
from progress.record import get_record
from progress.texts import silent_for
from tasks.models import State, TaskRun

from .engine import RunError

#: Running tasks that are looked at: those that began first.
MOST = 5_000
#: Records of one round trip.
SLICE = 500


class CannotSay(RunError):
    """Redis does not answer: nobody can say which tasks are silent."""


@dataclass(frozen=True, slots=True)
class Silent:
    """A running task, and for how many seconds it has told nothing."""

    run_id: str
    name: str
    seconds: float


def silent() -> list[Silent]:
    """Those that are silent now. Raises `CannotSay` while Redis is away: that is not that nobody is."""
    started = TaskRun.objects.filter(state=State.STARTED).order_by("started_at").values_list("pk", "name", "attempt")
    rows, now = list(started[:MOST]), timezone.now()
    found = []
    for (pk, name, attempt), told in zip(rows, _told([pk for pk, _, _ in rows]), strict=True):
        seconds = silent_for(told, now) if told.get("attempt") == attempt else None
        if seconds is not None:
            found.append(Silent(pk, name, seconds))
    return found


def _told(ids: Sequence[str]) -> list[Changing]:
    slices = [ids[at : at + SLICE] for at in range(0, len(ids), SLICE)]
    try:
        return [held.changing for some in slices for held in get_record().read_many(some, Since(log=False))]
    except Exception as error:
        raise CannotSay(str(CannotSay.__doc__)) from error
