"""The least that celery-progress needs, on the same Redis."""

import os

SECRET_KEY = "a benchmark of a peer"
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["channels", "celery_progress", "celery_progress.websockets"]
ROOT_URLCONF = "celery_progress.urls"
DATABASES: dict[str, object] = {}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # Without socket_timeout its sockets die after five idle seconds with redis-py 8: that is not what we measure.
        "CONFIG": {"hosts": [{"address": os.environ["REDIS_URL"], "socket_timeout": None}]},
    }
}
USE_TZ = True
LOGGING_CONFIG = None
