"""celery-progress over WebSocket, wired as its README and that of Channels say."""

from .celery import app as celery

__all__ = ["celery"]
