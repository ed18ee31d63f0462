"""The ASGI application of a project, with the sockets: `application = with_progress(get_asgi_application())`."""

from __future__ import annotations

from channels.routing import ProtocolTypeRouter, URLRouter

from .routing import websocket_fallback, websocket_urlpatterns
from .types import Application


def with_progress(http: object, *more: object) -> Application:
    """`http` for pages, our sockets beside it; `more` are WebSocket routes of the project, asked first.

    A socket asks for its Origin and its viewer itself: neither AllowedHostsOriginValidator nor AuthMiddlewareStack is
    needed around it.
    """
    routes = [*more, *websocket_urlpatterns, *websocket_fallback]
    router: Application = ProtocolTypeRouter({"http": http, "websocket": URLRouter(routes)})
    return router
