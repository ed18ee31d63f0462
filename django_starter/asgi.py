"""The ASGI application: `daphne django_starter.asgi:application`."""

import gc
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_starter.settings")
django.setup(set_prefix=False)  # what follows imports models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from django_starter.body import limit_body  # noqa: E402
from django_starter.readable import Handler  # noqa: E402
from django_starter.subpath import below_its_path  # noqa: E402
from progress.routing import websocket_fallback, websocket_urlpatterns  # noqa: E402

application = below_its_path(
    ProtocolTypeRouter(
        {
            "http": limit_body(Handler(), settings.MAX_BODY),
            "websocket": URLRouter(websocket_urlpatterns + websocket_fallback),  # which asks for the Origin itself
        }
    )
)

# What was imported stays: the collector need not look at it each time that a thousand sockets come at once.
gc.collect()
gc.freeze()
