"""The ASGI application of a project, with the sockets: `application = with_progress(get_asgi_application())`.

A project that has nothing to add names it in its settings: `ASGI_APPLICATION = "progress.asgi.application"`.
"""

from __future__ import annotations

from channels.routing import ProtocolTypeRouter, URLRouter

from .routing import websocket_fallback, websocket_urlpatterns
from .types import Application


def __getattr__(name: str) -> Application:
    """`application`, made when it is asked for: who imports `with_progress` alone has their own."""
    if name != "application":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from django.core.asgi import get_asgi_application

    globals()[name] = found = with_progress(get_asgi_application())
    return found


def with_progress(http: object, *more: object) -> Application:
    """`http` for pages, our sockets beside it; `more` are WebSocket routes of the project, asked first.

    A socket asks for its Origin and its viewer itself: neither AllowedHostsOriginValidator nor AuthMiddlewareStack is
    needed around it.
    """
    routes = [*more, *websocket_urlpatterns, *websocket_fallback]
    router: Application = ProtocolTypeRouter({"http": http, "websocket": URLRouter(routes)})
    return router
