"""What pages hear beside single runs, each by its name as a feed of the list socket and at an address of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from progress.types import JSON

from .access import Viewer, own_runs, shown, viewer_of
from .services import status

#: Runs that the home page shows.
HOME_RUNS = 50


def mine(viewer: Viewer) -> dict[str, JSON]:
    """The viewer's newest runs, the newest first, and whether there are `more`."""
    found = shown(own_runs(viewer).only("pk")[: HOME_RUNS + 1])
    return {"task_ids": [run.pk for run in found[:HOME_RUNS]], "more": len(found) > HOME_RUNS}


def look(asked: Sequence[tuple[Viewer, str]]) -> list[JSON]:
    """`progress.source.Source.feeds`."""
    return [_FEEDS[name](viewer) if name in _FEEDS and viewer.may_look else None for viewer, name in asked]


_FEEDS: dict[str, Callable[[Viewer], JSON]] = {"mine": mine, "status": lambda viewer: status()}


@require_safe
@never_cache
def my_runs(request: HttpRequest) -> JsonResponse:
    """The feed `mine` over HTTP."""
    return JsonResponse(mine(viewer_of(request)))


@require_safe
@never_cache
def what_runs(request: HttpRequest) -> JsonResponse:
    """The feed `status` over HTTP. Asks no session, unless a login is required."""
    return JsonResponse(status())
