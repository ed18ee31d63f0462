"""A site below a path of its host, `/app`: by FORCE_SCRIPT_NAME, or by the web server's `--root-path`.

A proxy may pass `/app/tasks/…` on as it is, or without `/app`; uvicorn puts its root path before what came, Daphne does
not. Here every request and every socket gets the one form that Django and Channels agree on: the path is there, once.
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from progress.types import Application, Receive, Scope, Send


def below_its_path(application: Application) -> Application:
    """`application`, whose scopes have `root_path` before `path`, however they came."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        root = (settings.FORCE_SCRIPT_NAME or scope.get("root_path") or "").strip("/")
        if root and "path" in scope:
            path = scope["path"].lstrip("/")
            while path == root or path.startswith(f"{root}/"):
                path = path[len(root) :].lstrip("/")
            scope = {**scope, "root_path": f"/{root}", "path": f"/{root}/{path}"}
        await application(scope, receive, send)

    return served


class CookiePath:
    """Middleware. The cookies are this site's: another one on the same host has its own of the same names."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if root := str(request.META.get("SCRIPT_NAME") or "").rstrip("/"):
            for cookie in response.cookies.values():
                if cookie["path"] == "/":
                    cookie["path"] = root
        return response
