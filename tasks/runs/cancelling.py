"""Cancel a run, and what it has started."""

from __future__ import annotations

import logging

from progress.record import get_record
from tasks.models import State, TaskRun

from .following import follow_alone, follow_up
from .moves import ask_to_cancel, cancel_children, end_cancelled

logger = logging.getLogger(__name__)

#: Children whose viewers and followers hear of a cancel within the request; the sweep sees to the others.
AT_ONCE = 20


def cancel(task_id: str) -> bool:
    """Ask to cancel a run and its children. A waiting one is REVOKED at once; False when it had ended before."""
    # First: what is accepted at its end (an error callback) has it as its parent as well, and shall run.
    cancel_children(task_id)
    revoked = asked = False
    for _ in range(3):  # between the two questions a run may have moved from running to waiting
        revoked = end_cancelled(task_id)
        asked = not revoked and ask_to_cancel(task_id)
        if revoked or asked:
            break
    if asked:
        request_cancel(task_id)
    unheard = TaskRun.objects.filter(parent_id=task_id, unfollowed=True)
    follow_alone(unheard)
    for child in list(unheard.values_list("pk", flat=True)[:AT_ONCE]):
        follow_up(child)
    return revoked or asked or TaskRun.objects.filter(pk=task_id, state=State.STARTED).exists()


def request_cancel(task_id: str) -> None:
    """Tell the running attempt, by its live record; its worker looks into the database as well."""
    try:
        get_record().request_cancel(task_id)
    except Exception as error:
        logger.info("The cancel of %s waits for the worker's look at the database: %s", task_id, error)
