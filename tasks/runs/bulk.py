"""One thing done to all runs that a filter means, with a bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.utils import timezone

import progress
from tasks.models import TaskRun

from .cancelling import cancel
from .engine import NotAccepted
from .following import follow_up
from .moves import cancel_all
from .repeating import CHECKPOINT, START, again
from .search import Filter, may

#: What is done, in the words of its end.
DONE = {"cancel": "cancelled", "retry": "started again", "go_on": "went on where it was"}


#: Starts the task whose work `act_on_all` is, and gives its run's id.
Starter = Callable[[str, Mapping[str, str], str], str]
_starter: list[Starter] = []


def register(starter: Starter) -> None:
    """`starter` starts the work as a run of its own."""
    _starter[:] = [starter]


def start(action: str, wanted: Filter) -> str:
    """Do it to all that match now, as a run of its own; its id.

    A cancel is asked for at once, as the run may wait in the queue behind those that it shall cancel.
    """
    now = timezone.now()
    run_id = _starter[0](action, wanted.as_words(), now.isoformat())
    if action == "cancel":
        cancel_all(wanted.find(now=now).filter(accepted_at__lte=now).exclude(pk=run_id).order_by())
    return run_id


def act_on_all(action: str, words: Mapping[str, str], until: str, run_id: str) -> dict[str, int]:
    """Cancel, or start again, what the filter leaves of the runs accepted `until` then; how many were and were not.

    `run_id` does it: begun once more after its worker has died, it starts nothing twice.
    """
    moment = datetime.fromisoformat(until)
    wanted = Filter.of(words)
    found = wanted.find(now=moment).filter(may(action))
    asked = wanted.find(any_state=True, now=moment).filter(cancel_requested_at__gte=moment)
    both = (found, asked) if action == "cancel" else (found,)
    ids = {pk for some in both for pk in some.filter(accepted_at__lte=moment).values_list("pk", flat=True)} - {run_id}
    done = refused = 0
    for pk in progress.track(sorted(ids), unit="runs"):
        if act(action, pk, run_id):
            done += 1
        else:
            refused += 1
    progress.set(message=f"{done:,} {DONE[action]}" + (f", {refused:,} not" if refused else ""))
    progress.missing(refused)
    return {"done": done, "not": refused}


def act(action: str, task_id: str, run_id: str) -> bool:
    """Cancel this run, or start it again; False where that was not possible any more."""
    if action == "cancel":
        follow_up(task_id)  # it was REVOKED when it was asked for, and its viewers have not heard it
        return cancel(task_id) or TaskRun.objects.filter(pk=task_id, cancel_requested_at__isnull=False).exists()
    run = TaskRun.objects.filter(may(action), pk=task_id).first()
    if run is None:
        return False
    if TaskRun.objects.filter(parent_id=run_id, retry_of=task_id).exists():
        return True
    try:
        again(run, begin=CHECKPOINT if action == "go_on" else START)
    except NotAccepted as error:
        progress.log(f"{task_id}: {error}", "warning")
        return False
    return True
