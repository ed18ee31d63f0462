"""Everybody's runs, for staff: to find, to cancel, to start again, and to see how the system is doing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.contrib import messages
from django.contrib.auth.decorators import user_passes_test
from django.db.models import Count as CountOf
from django.db.models import F, Max, Min, Sum
from django.db.models.functions import TruncMinute
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from tasks.models import CLAIMABLE, State, TaskRun
from tasks.runs.bounded import COUNTED, Count, count, distinct
from tasks.runs.search import SINCE, Filter, repeated, said_repeated
from tasks.runs.silence import CannotSay
from tasks.runs.state import listed, live_states
from tasks.runs.waiting import due, due_at, explain

from .access import shown
from .bulk import bulk

#: Runs of one page.
PAGE = 50
#: Seconds for which one look at the last hour serves every page of this process.
HOUR_FRESH = 5.0


@never_cache
@user_passes_test(lambda user: user.is_active and user.is_staff, login_url="login")
@require_http_methods(["GET", "HEAD", "POST"])
def all_runs(request: HttpRequest) -> HttpResponse:
    """The list; a POST cancels or starts again the runs that are ticked, or all that match, once it is confirmed."""
    if request.method == "POST":
        try:
            return bulk(request)
        except CannotSay as error:
            messages.error(request, str(error))
            return redirect(request.get_full_path())
    wanted, unknown = known(Filter.of(request.GET))
    counts, everything = _counts(wanted)
    total = counts.get(wanted.state, Count(0)) if wanted.state in State.values else everything
    pages = min(max(1, -(-total.number // PAGE)), COUNTED // PAGE)
    page = min(page_number(request), pages + 1)
    rows = shown(listed(wanted.look()).select_related("owner")[(page - 1) * PAGE : page * PAGE])
    context = {
        "wanted": wanted,
        "unknown": unknown,
        "rows": list(zip(rows, live_states(rows, explain(rows)), map(took, rows), _repeats(rows), strict=True)),
        "counts": [(state, counts.get(state.value, Count(0))) for state in State],
        "total": total,
        "everything": everything,
        "page": page,
        "pages": pages,
        "before": address(request, page=page - 1) if page > 1 else "",
        "after": address(request, page=page + 1) if page < pages else "",
        "by_state": address(request, state="", page=""),
        "names": distinct(TaskRun.objects.all(), "name"),
        "since": SINCE,
        "hour": _hour.look(),
    }
    return render(request, "tasks/all_runs.html", context)


def known(wanted: Filter) -> tuple[Filter, bool]:
    """`wanted`, and False; or, where nobody can say who is silent, without that condition, and True."""
    try:
        return wanted, bool(wanted.quiet and wanted.silent is None)
    except CannotSay:
        return replace(wanted, quiet=""), True


def _repeats(rows: list[TaskRun]) -> list[tuple[str, str] | None]:
    """Of each that was run again the newest run, and how it stands."""
    last = repeated(rows)
    return [(last[run.pk].pk, said_repeated(last[run.pk])) if run.pk in last else None for run in rows]


def _counts(wanted: Filter) -> tuple[dict[str, Count], Count]:
    """Of each state, and of all. Within a filter: of its newest `COUNTED` runs."""
    found = wanted.look(any_state=True)
    if wanted == Filter(state=wanted.state):  # an index has them by state
        by_state = {state.value: count(found.filter(state=state)) for state in State}
        more = any(one.more for one in by_state.values())
        return by_state, Count(sum(one.number for one in by_state.values()), more)
    states = Counter(found.values_list("state", flat=True)[: COUNTED + 1])
    number = sum(states.values())
    more = number > COUNTED or wanted.searched.more
    return {state: Count(of, more) for state, of in states.items()}, Count(min(number, COUNTED), more)


def took(run: TaskRun) -> str:
    """How long its newest attempt has run; between two attempts none does."""
    if run.started_at is None or run.state in CLAIMABLE:
        return ""
    spent = ((run.finished_at or timezone.now()) - run.started_at).total_seconds()
    return f"{spent:.1f} s" if spent < 60 else f"{spent // 60:.0f} min {spent % 60:02.0f} s"


def page_number(request: HttpRequest) -> int:
    """The number of the page that is asked for, from 1."""
    text = request.GET.get("page", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def address(request: HttpRequest, **changed: object) -> str:
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
    """From the moment at which a run could begin to the one at which it did; and how long the oldest waits now."""
    hour = now - timedelta(hours=1)
    first = TaskRun.objects.filter(started_at__gte=hour, attempt=1).annotate(wait=F("started_at") - due_at())
    waits: dict[datetime, timedelta] = {}
    begun: Counter[datetime] = Counter()
    longest: list[timedelta] = []
    # Each by its index: what has ended, and what has not.
    for part in (first.filter(finished_at__gte=hour), first.filter(state__in=(State.STARTED, State.RETRY))):
        by_minute = part.order_by().values_list(TruncMinute("started_at"))
        for minute, count_of, together, most in by_minute.annotate(CountOf("pk"), Sum("wait"), Max("wait")):
            begun[minute] += count_of
            waits[minute] = waits.get(minute, timedelta()) + together
            longest.append(most)
    minutes = {minute: max(wait.total_seconds() / begun[minute], 0.0) for minute, wait in waits.items()}
    note = f"longest {_seconds(max(longest).total_seconds())}" if longest else "nobody waited"
    oldest = TaskRun.objects.filter(due(now)).aggregate(oldest=Min(due_at()))["oldest"]
    note += f"; the oldest waits for {_seconds((now - oldest).total_seconds())} now" if oldest else "; none waits now"
    return _plot("Mean wait", minutes, now, _seconds, note)


def _seconds(wait: float) -> str:
    """Waits are short: a tenth of a second says nothing of most."""
    if wait >= 100:
        return f"{wait / 3600:.1f} h" if wait >= 5400 else f"{wait / 60:.0f} min"
    return f"{wait:.1f} s" if wait >= 1 else f"{max(wait, 0) * 1000:.0f} ms"


def _plot(
    title: str, minutes: dict[datetime, float], now: datetime, written: Callable[[float], str], note: str
) -> Plot:
    last = now.replace(second=0, microsecond=0)
    values = [minutes.get(last - timedelta(minutes=back), 0) for back in range(59, -1, -1)]
    most = max(values)
    points = (f"{x} {20 - 20 * value / (most or 1):.1f}" for x, value in enumerate(values))
    return Plot(title, "M" + "L".join(points), written(most), note)
