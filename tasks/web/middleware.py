"""Whose request this is, and whether they must log in first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from tasks.runs.owner import Owner, enter, leave

from .requests import wants_json

View: TypeAlias = Callable[..., HttpResponseBase]


class OwnerMiddleware:
    """While a request is answered, what is started is its owner's: a plain `.delay()` in a view knows its owner."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
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
        """A script cannot follow a redirect to a form."""
        if wants_json(request) or request.path.startswith("/api/"):
            return JsonResponse({"error": "Log in first.", "errors": {"login": ["Log in first."]}}, status=401)
        return super().handle_no_permission(request, view_func)
