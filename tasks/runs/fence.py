"""Does this attempt still hold its run? And a fence for what a task writes to the database itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from progress.active import current
from progress.errors import Cancelled
from tasks.models import State, TaskRun

#: Seconds that a task may take between two statements in a fence; a slower one is taken for frozen (PostgreSQL).
FENCE_IDLE = 20


def holds(task_id: str, attempt: int) -> bool:
    """True if `attempt` is still the one that runs."""
    return TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED).exists()


def works(worker: str) -> bool:
    """True if this worker holds a run."""
    return TaskRun.objects.filter(worker=worker, state=State.STARTED).exists()


def hold_fast(task_id: str, attempt: int) -> bool:
    """`holds`, and until the end of the caller's transaction nobody takes the run away: the row is locked.

    A process that is frozen within it (a suspended machine) keeps the lock: PostgreSQL ends its session in time.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{FENCE_IDLE}s'")
    return bool(TaskRun.objects.filter(pk=task_id, attempt=attempt, state=State.STARTED).update(attempt=attempt))


@contextmanager
def fenced() -> Iterator[None]:
    """A transaction that only the attempt which holds the run may commit.

    An attempt that slept (a machine that was suspended, a network that was cut) while another took its run over
    raises `progress.Cancelled` here instead of writing a second time. Outside a task it is a plain transaction.
    An attempt whose process dies after this block and before its end is repeated: what must not happen twice even
    then is written under the run's id, and looked for first.
    """
    reporter = current()
    with transaction.atomic():
        if reporter is not None and reporter.task_id and not hold_fast(reporter.task_id, reporter.attempt):
            raise Cancelled("Another attempt holds this run now.")
        yield
