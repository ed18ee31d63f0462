"""Failures in groups, for staff: how many, since when, where; run again what nobody has, or ignore."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import user_passes_test
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from progress.messages import ID_PATTERN
from tasks.models import Release
from tasks.runs.alike import MOST
from tasks.runs.failures import Group, describe, groups, ignore, ignored, number, runs_of, watch
from tasks.runs.releases import current
from tasks.runs.search import SINCE

from .all_runs import address, page_number

#: Groups of one page.
PAGE = 20
#: What the filter offers beside the words of a list of runs.
RELEASE, MOST_FIRST = "release", "most"


@never_cache
@user_passes_test(lambda user: user.is_active and user.is_staff, login_url="login")
@require_http_methods(["GET", "HEAD", "POST"])
def failures(request: HttpRequest) -> HttpResponse:
    """The groups; a POST ignores one, or watches it again."""
    if request.method == "POST":
        _act(request)
        return redirect(request.get_full_path())
    release = current()
    since, apart = _since(request.GET.get("since", ""), release), ignored()
    of_ignored = request.GET.get("ignored") == "1"
    everything = groups()
    found = [group for group in everything if (group.fingerprint in apart) == of_ignored]
    found = [group for group in found if since is None or group.last >= since]
    most_first = request.GET.get("sort") == MOST_FIRST
    if most_first:
        number(found, since)
        found.sort(key=lambda group: group.number.number, reverse=True)
    pages = max(1, -(-len(found) // PAGE))
    page = min(page_number(request), pages)
    rows = found[(page - 1) * PAGE : page * PAGE]
    if not most_first:
        number(rows, since)
    describe(rows)
    context = {
        "rows": [_row(group, release) for group in rows],
        "total": len(found),
        "more": len(everything) == MOST,
        "release": release,
        "since": request.GET.get("since", ""),
        "offered": SINCE,
        "sort": request.GET.get("sort", ""),
        "of_ignored": of_ignored,
        "page": page,
        "pages": pages,
        "before": address(request, page=page - 1) if page > 1 else "",
        "after": address(request, page=page + 1) if page < pages else "",
    }
    return render(request, "tasks/failures.html", context)


def _since(word: str, release: Release | None) -> datetime | None:
    if word == RELEASE:
        return release.since if release else None
    return timezone.now() - SINCE[word] if word in SINCE else None


def _row(group: Group, release: Release | None) -> dict[str, object]:
    return {
        "group": group,
        "is_new": group.is_new(release),
        "runs": urlencode({"fingerprint": group.fingerprint}),
        "again": urlencode({"fingerprint": group.fingerprint, "again": "no"}),
        "newest": group.newest if ID_PATTERN.fullmatch(group.newest) else "",
    }


def _act(request: HttpRequest) -> None:
    word = next((word for word in ("ignore", "watch") if request.POST.get(word)), "")
    if not word:
        raise BadRequest("ignore or watch must name a group of failures.")
    fingerprint = request.POST[word]
    if not runs_of(fingerprint).exists():
        raise Http404("There is no such group of failures.")
    if word == "ignore":
        ignore(fingerprint, request.user.get_username())
        messages.info(request, f"{fingerprint} is ignored.")
    else:
        watch(fingerprint)
        messages.info(request, f"{fingerprint} is watched again.")
