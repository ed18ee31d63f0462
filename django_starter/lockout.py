"""What django-axes asks of this project: where a login comes from, and what those who have to wait read."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from tasks.web.limits import address_of
from tasks.web.requests import refuse, wants_json


def address(request: HttpRequest) -> str | None:
    """The address that a login comes from, behind proxies of ours; None of what is no address."""
    try:
        return str(ipaddress.ip_address(address_of(request)))
    except ValueError:
        return None


def answer(
    request: HttpRequest, refused: HttpResponse | None = None, credentials: Mapping[str, object] | None = None
) -> HttpResponse:
    """429, with a sentence that says for how long. The same whether there is such an account or not."""
    pause = settings.AXES_COOLOFF_TIME
    sentence = (
        "There were too many wrong passwords for this account, or from this address. "
        f"Try again in {pause.total_seconds() / 60:.0f} minutes."
    )
    if wants_json(request):
        response: HttpResponse = refuse({"login": [sentence]}, 429)
    else:
        response = render(request, "429.html", {"sentence": sentence, "wait": int(pause.total_seconds())}, status=429)
    response["Retry-After"] = str(int(pause.total_seconds()))
    return response
