"""The checkpoint in a run's row: read, and written by the attempt that holds the run. `tasks.resume` fills it.

`checkpoint` is the whole of it, for the task alone. `checkpoint_at` says how far it is, to viewers, and which task and
arguments it fits. `checkpoint_seq` names the write: one that comes late overwrites nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import cast

from progress.messages import Reached
from progress.types import JSON
from tasks.models import State, TaskRun


class At(Reached, total=False):
    """`checkpoint_at`: how far it is, with the task's `checkpoint_version` and a digest of its name and arguments."""

    version: JSON
    fits: str


def fits_of(run: TaskRun) -> str:
    """A digest of the task's name and arguments: a checkpoint of other ones says nothing about these."""
    text = json.dumps([run.name, run.args, run.kwargs], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def at_of(stored: object) -> At | None:
    """`checkpoint_at` as it was read, if it is one."""
    return cast(At, stored) if isinstance(stored, dict) and isinstance(stored.get("fits"), str) else None


def reached(stored: object) -> Reached | None:
    """What viewers may read of it: `{"current", "total", "percent", "unit"}`."""
    at = at_of(stored)
    if at is None:
        return None
    numbers: dict[str, object] = {}
    for name in ("current", "total", "percent"):
        value = at.get(name)
        numbers[name] = value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
    unit = at.get("unit")
    return cast(Reached, {**numbers, "unit": unit if isinstance(unit, str) else ""})


def read(task_id: str) -> tuple[JSON, int]:
    """The checkpoint and its `seq`; (None, 0) of a run that is gone."""
    found = TaskRun.objects.filter(pk=task_id).values_list("checkpoint", "checkpoint_seq").first()
    return found or (None, 0)


def write(
    task_id: str,
    attempt: int,
    seq: int,
    checkpoint: Mapping[str, JSON],
    at: At,
    *,
    advanced: bool,
    after: int | None = None,
) -> bool:
    """Store it as write `seq` of this attempt; False from an attempt that holds the run no longer.

    With `after` only where that is the newest write: somebody else has written what this one does not know of.
    """
    mine = TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED)
    if after is not None:
        mine = mine.filter(checkpoint_seq=after)
    values: dict[str, object] = {"checkpoint": checkpoint, "checkpoint_at": at, "checkpoint_seq": seq}
    if advanced:
        values["advanced"] = True
    return bool(mine.update(**values))


def newest(task_id: str, attempt: int) -> int | None:
    """The `seq` of the newest write; None where the attempt holds the run no longer."""
    mine = TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED)
    return mine.values_list("checkpoint_seq", flat=True).first()
