"""How often a worker may die in a run before the run is given up."""

from __future__ import annotations

from progress.messages import TaskError
from tasks.models import TaskRun

#: A death after the checkpoint has moved on does not use up `max_attempts`; this many times that number ends it all the
#: same. A task that dies behind every step would go on for ever.
TIMES_WITH_CHECKPOINTS = 10


def too_many(run: TaskRun, why: str = "") -> TaskError | None:
    """The error that the run ends with, if one more death now is too many; `why` is said of it.

    `max_attempts = 1` says that it must not run twice, whatever its checkpoint says.
    """
    deaths = run.lost + 1
    in_vain = run.in_vain + int(not run.advanced)
    if run.max_attempts > 1 and in_vain < run.max_attempts and deaths < run.max_attempts * TIMES_WITH_CHECKPOINTS:
        return None
    times = "once" if deaths == 1 else f"{deaths} times"
    message = f"The worker process died in this task {times}." + (f" The last time: {why}" if why else "")
    return {"type": "WorkerLost", "message": message}


def one(why: str = "") -> TaskError:
    """The error of an attempt whose process died; `why` is said of it."""
    return {"type": "WorkerLost", "message": why or "Its process died, or its worker fell silent."}
