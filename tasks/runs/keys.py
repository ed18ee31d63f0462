"""Keys under which only one run is stored, of one person and task: `owner:digest`, so that they can change hands."""

from __future__ import annotations

import hashlib
import json

from tasks.models import TaskRun


def idempotency_key(run: TaskRun, given: str) -> str:
    """The key for what the run's owner calls `given`, of whatever length."""
    return f"{_owner(run)}:{_digest([run.name, given])}"


def active_key(run: TaskRun, value: object) -> str:
    """The key under which only one run of this owner and task may be active."""
    return f"{_owner(run)}:{run.name[-80:]}:{_digest(value)}"


def arguments(run: TaskRun) -> str:
    """The run's arguments, to be compared: in memory a list may be a tuple."""
    return _digest([run.args, run.kwargs])


def handed_over(key: str, owner_id: int) -> str:
    """The same key, of another owner."""
    return f"{owner_id}:{key.partition(':')[2]}"


def _owner(run: TaskRun) -> str:
    return str(run.owner_id or run.session_key)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
