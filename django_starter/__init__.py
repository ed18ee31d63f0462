"""The wiring: settings, URLs, the ASGI application and the Celery app."""

# Imported here so that a plain `@shared_task` binds to this app in every process that has Django set up.
from .celery import app as celery_app

__all__ = ["celery_app"]
