"""What pages hear beside single runs, each by its name as a feed of the list socket and at an address of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from progress.types import JSON
from tasks.models import State, TaskRun
from tasks.runs.bounded import count
from tasks.runs.family import roots

from .access import Viewer, own_runs, shown, viewer_of
from .services import status

#: Runs that the home page shows.
HOME_RUNS = 50


#: Whose a run is: a user's id, or none and a session's key.
Owned: TypeAlias = tuple[int | None, str]

#: Seconds back in which a look searches for new runs: a transaction may take its time to commit.
OVERLAP = timedelta(seconds=5)
#: Seconds after which a viewer's list is looked up again though none was seen: pruned runs, a very long transaction.
AGAIN = 30.0
#: New runs of one look. Where there are more, lists are looked up again after `BUSY` seconds.
MOST_NEW = 1_000
BUSY = 1.0


def mine(viewer: Viewer) -> dict[str, JSON]:
    """The viewer's newest runs that no other run has started, the newest first, and whether there are `more`."""
    found = shown(roots(own_runs(viewer)).only("pk")[: HOME_RUNS + 1])
    return {"task_ids": [run.pk for run in found[:HOME_RUNS]], "more": len(found) > HOME_RUNS}


class Lists:
    """`mine` of all viewers of a process: one query says whose runs are new, and only theirs are looked up again."""

    def __init__(self) -> None:
        self._known: dict[Viewer, tuple[float, JSON]] = {}
        self._new: set[str] = set()

    def look(self, viewers: Collection[Viewer]) -> dict[Viewer, JSON]:
        """The list of each; the very object of before where nothing is new."""
        try:
            return self._look(viewers)
        except Exception:
            self._known.clear()  # whose runs are new is not known any more
            raise

    def forget(self, user_id: int) -> None:
        """Runs became this user's that were stored before: look the list up again."""
        for viewer in [viewer for viewer in list(self._known) if viewer.user_id == user_id]:
            self._known.pop(viewer, None)

    def _look(self, viewers: Collection[Viewer]) -> dict[Viewer, JSON]:
        if not viewers:
            return {}
        now = time.monotonic()
        alone = len(viewers) == 1  # its own list costs as much as the question whether it has changed
        owners, busy = (set[Owned](), False) if alone else self._owners_of_new()
        found: dict[Viewer, JSON] = {}
        for viewer in viewers:
            at, value = self._known.get(viewer, (float("-inf"), None))
            is_new = (viewer.user_id, "" if viewer.user_id is not None else viewer.session_key) in owners
            if alone or is_new or now - at > (BUSY if busy else AGAIN):
                fresh = mine(viewer)
                value = value if fresh == value else fresh
                self._known[viewer] = now, value
            found[viewer] = value
        if len(self._known) > 2 * len(viewers) + 100:
            self._known = {viewer: known for viewer, known in self._known.items() if now - known[0] < 2 * AGAIN}
        return found

    def _owners_of_new(self) -> tuple[set[Owned], bool]:
        """Whose runs were stored since the last look; and whether there were too many to say."""
        rows = TaskRun.objects.filter(accepted_at__gt=timezone.now() - OVERLAP).order_by("-accepted_at")
        newest = list(rows.values_list("pk", "owner_id", "session_key")[:MOST_NEW])
        before, self._new = self._new, {pk for pk, _, _ in newest}
        owners: set[Owned] = {
            (owner, "" if owner is not None else key) for pk, owner, key in newest if pk not in before
        }
        return owners, len(newest) == MOST_NEW


lists = Lists()


def newest(viewers: Collection[Viewer]) -> dict[Viewer, JSON]:
    """To staff, of everybody's runs: which was accepted last, which ended last, how many run. A list that shows them
    has to be made anew when this says something else."""
    staff = [viewer for viewer in viewers if viewer.is_staff]
    said: JSON = _newest() if staff else None
    return dict.fromkeys(staff, said)


def _newest() -> dict[str, JSON]:
    every = TaskRun.objects.order_by
    return {
        "accepted": every("-accepted_at").values_list("pk", flat=True).first(),
        "ended": every("-finished_at").filter(finished_at__isnull=False).values_list("pk", flat=True).first(),
        "running": str(count(TaskRun.objects.filter(state=State.STARTED))),
    }


def look(asked: Sequence[tuple[Viewer, str]]) -> list[JSON]:
    """`progress.source.Source.feeds`."""
    viewers: dict[str, dict[Viewer, None]] = {}
    for viewer, name in asked:
        if name in _FEEDS and viewer.may_look:
            viewers.setdefault(name, {})[viewer] = None
    values = {name: _FEEDS[name](those) for name, those in viewers.items()}
    return [values[name].get(viewer) if name in values else None for viewer, name in asked]


#: What each says to these viewers.
_FEEDS: dict[str, Callable[[Collection[Viewer]], Mapping[Viewer, JSON]]] = {
    "mine": lists.look,
    "newest": newest,
    "status": lambda viewers: dict.fromkeys(viewers, status()),
}


@require_safe
@never_cache
def my_runs(request: HttpRequest) -> JsonResponse:
    """The feed `mine` over HTTP."""
    return JsonResponse(mine(viewer_of(request)))


@require_safe
@never_cache
def newest_runs(request: HttpRequest) -> JsonResponse:
    """The feed `newest` over HTTP; 403 for others than staff."""
    if not viewer_of(request).is_staff:
        return JsonResponse({"error": "This is for staff."}, status=403)
    return JsonResponse(_newest())


@require_safe
@never_cache
def what_runs(request: HttpRequest) -> JsonResponse:
    """The feed `status` over HTTP. Asks no session, unless a login is required."""
    return JsonResponse(status())
