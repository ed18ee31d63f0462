"""Whose request this is, and whether they must log in first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from progress.own_address import OwnAddress
from tasks.runs import alerts
from tasks.runs.owner import Owner, enter, leave

from .requests import wants_json

View: TypeAlias = Callable[..., HttpResponseBase]


class OwnerMiddleware(OwnAddress):
    """While a request is answered, what is started is its owner's: a plain `.delay()` in a view knows its owner."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        alerts.watch()  # this is a web process: see there

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.give(request)
        token = enter(Owner(request.user, request.session))
        try:
            return self.get_response(request)
        finally:
            leave(token)


class LoginWhereRequired(LoginRequiredMiddleware):
    """With `TASKS_REQUIRE_LOGIN` every view asks for a signed-in user, unless it says that it needs none."""

    def process_view(
        self, request: HttpRequest, view_func: View, view_args: tuple[object, ...], view_kwargs: dict[str, object]
    ) -> HttpResponseBase | None:
        """The way to the login page, or 401 for a script."""
        if not settings.TASKS_REQUIRE_LOGIN:
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(self, request: HttpRequest, view_func: View) -> Any:
        """A script cannot follow a redirect to a form, and nobody can go back to an address that only takes a form."""
        if wants_json(request) or request.path_info.startswith("/api/"):
            login = resolve_url(self.get_login_url(view_func))
            refusal = {"error": "Log in first.", "errors": {"login": ["Log in first."]}, "login": login}
            return JsonResponse(refusal, status=401)
        if request.method not in ("GET", "HEAD"):
            before, login = _page_before(request), resolve_url(self.get_login_url(view_func))
            return redirect_to_login(before, login, self.get_redirect_field_name(view_func))
        return super().handle_no_permission(request, view_func)


def _page_before(request: HttpRequest) -> str:
    """The page of ours whose button was pressed, as far as the browser says it."""
    before = request.headers.get("Referer", "")
    parts = urlsplit(before)
    ours = url_has_allowed_host_and_scheme(before, {request.get_host()}, request.is_secure())
    return f"{parts.path}?{parts.query}".rstrip("?") if ours and parts.path else reverse("home")
