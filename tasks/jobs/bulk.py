"""One thing done to all runs that a filter means, with a bar."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import progress
from tasks import runs
from tasks.models import TaskRun
from tasks.runs.search import Filter, may

#: What is done, in the words of its end.
DONE = {"cancel": "cancelled", "retry": "started again"}


def act_on_all(action: str, words: Mapping[str, str], until: str, run_id: str) -> dict[str, int]:
    """Cancel, or start again, what the filter leaves of the runs accepted `until` then; how many were and were not.

    `run_id` does it: begun once more after its worker has died, it starts nothing twice.
    """
    moment = datetime.fromisoformat(until)
    found = Filter.of(words).find(now=moment).filter(may(action), accepted_at__lte=moment).exclude(pk=run_id)
    ids = list(found.values_list("pk", flat=True))
    done = refused = 0
    for pk in progress.track(ids, unit="runs"):
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
        return runs.cancel(task_id)
    run = TaskRun.objects.filter(may(action), pk=task_id).first()
    if run is None:
        return False
    if TaskRun.objects.filter(parent_id=run_id, retry_of=task_id).exists():
        return True
    try:
        runs.again(run)
    except runs.NotAccepted as error:
        progress.log(f"{task_id}: {error}", "warning")
        return False
    return True
