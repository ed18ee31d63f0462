"""Everybody's runs, for staff: to find, to cancel, to start again, and to see how the system is doing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import user_passes_test
from django.core.exceptions import BadRequest
from django.db.models import Avg, F, Max, QuerySet
from django.db.models import Count as CountOf
from django.db.models.functions import TruncMinute
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.functional import cached_property
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from tasks import runs
from tasks.models import FINAL, State, TaskRun
from tasks.runs.search import COUNTED, Count, count, distinct, search
from tasks.runs.state import live_states
from tasks.runs.waiting import explain

#: Runs of one page.
PAGE = 50
#: Seconds for which one look at the last hour serves every page of this process.
HOUR_FRESH = 5.0
#: What the filter offers as "since".
SINCE = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
#: The owner of runs that visitors without an account have started.
ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Filter:
    """What the filter says; an empty word is no condition."""

    state: str = ""
    task: str = ""
    owner: str = ""
    since: str = ""
    q: str = ""

    def find(self, *, any_state: bool = False) -> QuerySet[TaskRun]:
        """The runs it leaves, the newest first; `any_state` leaves out that condition."""
        found = TaskRun.objects.order_by("-accepted_at")
        if self.state in State.values and not any_state:
            found = found.filter(state=self.state)
        if self.task:
            found = found.filter(name=self.task)
        if self.owner == ANONYMOUS:
            found = found.filter(owner=None)
        elif self.owner:  # by id: joined with its name, all runs would be read
            owner = get_user_model()._default_manager.filter(username=self.owner).first()
            found = found.none() if owner is None else found.filter(owner_id=owner.pk)
        if self.since in SINCE:
            found = found.filter(accepted_at__gte=timezone.now() - SINCE[self.since])
        if self.q:
            found = found.filter(pk__in=self._searched)
        return found

    @cached_property
    def _searched(self) -> set[str]:
        return search(self.q)

    def counts(self) -> tuple[dict[str, Count], Count]:
        """Of each state, and of all. Within a filter: of its newest `COUNTED` runs."""
        found = self.find(any_state=True)
        if self == Filter(state=self.state):  # an index has them by state
            by_state = {state.value: count(found.filter(state=state)) for state in State}
            most = any(one.more for one in by_state.values())
            return by_state, Count(sum(one.number for one in by_state.values()), most)
        states = Counter(found.values_list("state", flat=True)[: COUNTED + 1])
        more = sum(states.values()) > COUNTED
        return {state: Count(number, more) for state, number in states.items()}, Count(
            min(sum(states.values()), COUNTED), more
        )


@never_cache
@user_passes_test(lambda user: user.is_active and user.is_staff, login_url="login")
@require_http_methods(["GET", "HEAD", "POST"])
def all_runs(request: HttpRequest) -> HttpResponse:
    """The list; a POST cancels or starts again the runs that are ticked."""
    if request.method == "POST":
        _act(request)
        return redirect(request.get_full_path())
    wanted = Filter(**{name: request.GET.get(name, "").strip()[:200] for name in Filter.__dataclass_fields__})
    counts, everything = wanted.counts()
    total = counts.get(wanted.state, Count(0)) if wanted.state in State.values else everything
    pages = min(max(1, -(-total.number // PAGE)), COUNTED // PAGE)
    page = min(_page_number(request), pages + 1)
    rows = list(wanted.find().select_related("owner")[(page - 1) * PAGE : page * PAGE])
    context = {
        "wanted": wanted,
        "rows": list(zip(rows, live_states(rows, explain(rows)), map(_took, rows), strict=True)),
        "counts": [(state, counts.get(state.value, Count(0))) for state in State],
        "total": total,
        "everything": everything,
        "page": page,
        "pages": pages,
        "before": _address(request, page=page - 1) if page > 1 else "",
        "after": _address(request, page=page + 1) if page < pages else "",
        "by_state": _address(request, state="", page=""),
        "names": distinct(TaskRun.objects.all(), "name"),
        "since": SINCE,
        "hour": _hour.look(),
    }
    return render(request, "tasks/all_runs.html", context)


def _act(request: HttpRequest) -> None:
    """Cancel or start again; says how many, and why others were not."""
    action = request.POST.get("action")
    if action not in ("cancel", "retry"):
        raise BadRequest("action must be cancel or retry.")
    found = TaskRun.objects.filter(pk__in=request.POST.getlist("run")[:PAGE])
    done, refused = 0, ""
    for run in found:
        try:
            if action == "cancel":
                done += runs.cancel(run.pk)
            elif run.state in FINAL:
                runs.again(run)
                done += 1
        except runs.NotAccepted as error:
            refused = str(error)
    left = len(found) - done
    said = f"{done} {'cancelled' if action == 'cancel' else 'started again'}"
    why = refused or ("ended already" if action == "cancel" else "not ended yet")
    messages.info(request, said + (f", {left} not: {why}." if left else "."))


def _took(run: TaskRun) -> str:
    """How long its newest attempt has run."""
    if run.started_at is None:
        return ""
    spent = ((run.finished_at or timezone.now()) - run.started_at).total_seconds()
    return f"{spent:.1f} s" if spent < 60 else f"{spent // 60:.0f} min {spent % 60:02.0f} s"


def _page_number(request: HttpRequest) -> int:
    text = request.GET.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def _address(request: HttpRequest, **changed: object) -> str:
    """This page with other words in its query."""
    query = request.GET.copy()
    for name, value in changed.items():
        query.pop(name, None)
        if value != "":
            query[name] = str(value)
    return "?" + query.urlencode()


# --- the last hour ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plot:
    """Sixty minutes as a line in a box of 60 × 20; `top` is the value at its upper edge, `note` the hour in words."""

    title: str
    line: str
    top: str
    note: str


class _Hour:
    """Throughput and waits of the last hour, a figure a minute."""

    def __init__(self) -> None:
        self._plots: list[Plot] = []
        self._at = float("-inf")

    def look(self) -> list[Plot]:
        if time.monotonic() - self._at > HOUR_FRESH:
            self._at = time.monotonic()
            self._plots = [_throughput(timezone.now()), _waits(timezone.now())]
        return self._plots


_hour = _Hour()


def _throughput(now: datetime) -> Plot:
    ended = TaskRun.objects.filter(finished_at__gte=now - timedelta(hours=1))
    minutes = dict(ended.order_by().values_list(TruncMinute("finished_at")).annotate(count=CountOf("pk")))
    total = sum(minutes.values())
    return _plot("Ended a minute", minutes, now, lambda most: f"{most:g}", f"{total:,} in the last hour")


def _waits(now: datetime) -> Plot:
    hour = now - timedelta(hours=1)
    began = TaskRun.objects.filter(finished_at__gte=hour, started_at__gte=hour, attempt=1, eta=None).annotate(
        wait=F("started_at") - F("accepted_at")
    )
    minutes = {
        minute: wait.total_seconds()
        for minute, wait in began.order_by().values_list(TruncMinute("started_at")).annotate(mean=Avg("wait"))
    }
    longest = began.aggregate(longest=Max("wait"))["longest"]
    note = f"longest {_seconds(longest.total_seconds())}" if longest is not None else "nobody waited"
    return _plot("Mean wait", minutes, now, _seconds, note)


def _seconds(wait: float) -> str:
    """Waits are short: a tenth of a second says nothing of most."""
    return f"{wait:.1f} s" if wait >= 1 else f"{wait * 1000:.0f} ms"


def _plot(
    title: str, minutes: dict[datetime, float], now: datetime, written: Callable[[float], str], note: str
) -> Plot:
    last = now.replace(second=0, microsecond=0)
    values = [minutes.get(last - timedelta(minutes=back), 0) for back in range(59, -1, -1)]
    most = max(values)
    points = (f"{x} {20 - 20 * value / (most or 1):.1f}" for x, value in enumerate(values))
    return Plot(title, "M" + "L".join(points), written(most), note)
