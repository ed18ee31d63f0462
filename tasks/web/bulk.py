"""Cancel or start again many runs of the staff's list: asked with their number, then done, by a run if by filter."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import BadRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from tasks import runs
from tasks.models import TaskRun
from tasks.runs.bulk import DONE, start
from tasks.runs.repeating import CHECKPOINT, START
from tasks.runs.search import Filter, may

#: Runs that may be ticked: those of a page.
MOST_TICKED = 50
WHY_NOT = {"cancel": "ended already", "retry": "not ended yet", "go_on": "without a checkpoint, or not ended badly"}


def bulk(request: HttpRequest) -> HttpResponse:
    """What a POST of the list asks for: a question with the number, and after it the thing itself."""
    action = request.POST.get("action", "")
    if action not in DONE:
        raise BadRequest("action must be cancel, retry or go_on.")
    everything = request.POST.get("all") == "1"
    ticked = request.POST.getlist("run")[:MOST_TICKED]
    found = Filter.of(request.GET).find() if everything else TaskRun.objects.filter(pk__in=ticked)
    if request.POST.get("confirmed") != "1":
        possible, total = found.filter(may(action)).count(), found.count()
        context = {"action": action, "everything": everything, "ticked": ticked, "possible": possible, "total": total}
        return render(request, "tasks/bulk.html", {**context, "not_possible": total - possible, "why": WHY_NOT[action]})
    if everything:
        return redirect("run", task_id=start(action, Filter.of(request.GET)))
    _act(request, action, found)
    return redirect(request.get_full_path())


def _act(request: HttpRequest, action: str, found: QuerySet[TaskRun]) -> None:
    """Do it to the few that are ticked; says how many, and why others were not."""
    done, refused, rows = 0, "", list(found)
    for run in rows:
        try:
            if action == "cancel":
                done += runs.cancel(run.pk)
            elif run.is_final:
                runs.again(run, begin=CHECKPOINT if action == "go_on" else START)
                done += 1
        except runs.NotAccepted as error:
            refused = str(error)
    left = len(rows) - done
    said = f"{done} {DONE[action]}"
    messages.info(request, said + (f", {left} not: {refused or WHY_NOT[action]}." if left else "."))
