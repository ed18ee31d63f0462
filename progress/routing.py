"""The addresses of the WebSocket."""

from django.urls import path

from .socket import progress_socket

# Channels' URLRouter takes ASGI applications where Django's types know views only.
websocket_urlpatterns = [
    path("ws/progress/", progress_socket),  # type: ignore[arg-type]
    path("ws/progress/<str:task_id>/", progress_socket),  # type: ignore[arg-type]
]
