"""The addresses of the WebSocket, and what is said at any other."""

from django.urls import path, re_path

from .nowhere import nowhere
from .socket import progress_socket

# Channels' URLRouter takes ASGI applications where Django's types know views only.
websocket_urlpatterns = [
    path("ws/progress/", progress_socket),  # type: ignore[arg-type]
    path("ws/progress/<str:task_id>/", progress_socket),  # type: ignore[arg-type]
]

#: For the end of a URLRouter: without it an address that does not exist is a 500 with a traceback.
websocket_fallback = [re_path(r"", nowhere)]  # type: ignore[arg-type]
