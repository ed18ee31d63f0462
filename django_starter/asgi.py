"""The ASGI application: `daphne django_starter.asgi:application`."""

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_starter.settings")
http = get_asgi_application()  # sets Django up; what follows imports models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from django_starter.body import limit_body  # noqa: E402
from django_starter.subpath import below_its_path  # noqa: E402
from progress.routing import websocket_urlpatterns  # noqa: E402

application = below_its_path(
    ProtocolTypeRouter(
        {
            "http": limit_body(http, settings.MAX_BODY),
            "websocket": AllowedHostsOriginValidator(URLRouter(websocket_urlpatterns)),
        }
    )
)

# What was imported stays: the collector need not look at it each time that a thousand sockets come at once.
gc.collect()
gc.freeze()
