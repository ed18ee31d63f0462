"""Its web application: `daphne benchmarks.peer.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peer.settings")
http = get_asgi_application()

from celery_progress.websockets.routing import urlpatterns  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402

application = ProtocolTypeRouter({"http": http, "websocket": URLRouter(urlpatterns)})
