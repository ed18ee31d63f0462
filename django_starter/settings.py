"""Settings, read from the environment once. Each name is optional in development; README lists them."""

from __future__ import annotations

import environ

from .environment import BASE_DIR, DEV_DIR, redis_url, secret_key

env = environ.Env()

DEV_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or secret_key()
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
REDIS_URL = redis_url()
BROKER_URL = env.str("BROKER_URL", default="") or REDIS_URL

INSTALLED_APPS = [
    "daphne",  # before staticfiles: it brings the `runserver` that serves sockets
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "progress",
    "tasks",
    "django_starter.apps.DjangoStarterConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "tasks.access.VisitorMiddleware",  # a task started in a view belongs to the visitor
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "django_starter.urls"
ASGI_APPLICATION = "django_starter.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- database -------------------------------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{DEV_DIR / 'db.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # One file, several processes: readers beside one writer (WAL), a writer that waits for its turn (timeout in
    # seconds), and transactions that take the write lock at their start instead of failing half way (IMMEDIATE).
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
    }

# --- Redis: broker, channel layer, cache ----------------------------------------------------------------------------

#: Prefix of every key and channel of this project in Redis, so that several projects can share one server.
REDIS_PREFIX = env.str("REDIS_PREFIX", default="django_starter")

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "progress.layer.ProgressChannelLayer",
        "CONFIG": {
            # redis-py 8 has socket_timeout=5 by default: without None a subscription that hears nothing for 5 s dies.
            "hosts": [{"address": REDIS_URL, "socket_timeout": None, "socket_connect_timeout": 1}],
            "prefix": REDIS_PREFIX,
        },
    }
}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": REDIS_PREFIX,
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.8},
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"  # pages and starts work while Redis is away

# --- live progress --------------------------------------------------------------------------------------------------

PROGRESS_REDIS_URL = REDIS_URL
PROGRESS_PREFIX = REDIS_PREFIX
#: The object that answers who may watch which task, and what the database says of it.
PROGRESS_SOURCE = "tasks.access.RunSource"

# --- Celery ---------------------------------------------------------------------------------------------------------

CELERY_BROKER_URL = BROKER_URL
CELERY_RESULT_BACKEND = "tasks.result_backend:RunBackend"
CELERY_BROKER_CONNECTION_TIMEOUT = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 43_200,  # 12 h: only a backstop, tasks.workers finds lost runs within seconds
    "socket_keepalive": True,
    "health_check_interval": 10,
    # The web process gives up early, so that a start is answered within 2 s; tasks.workers widens both for a worker.
    "socket_connect_timeout": 0.5,
    "socket_timeout": 0.8,
    "global_keyprefix": f"{REDIS_PREFIX}:",
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TRACK_STARTED = False  # the claim moves a run to STARTED
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 8
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # True lost running tasks
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"

# --- the rest -------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = True  # static files are served without a collectstatic
WHITENOISE_AUTOREFRESH = DEBUG

X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        # What a task logs is shown to those who watch it.
        "progress": {"class": "progress.logs.ProgressHandler", "level": "INFO"},
    },
    "root": {"handlers": ["console", "progress"], "level": "INFO"},
    "loggers": {
        # Django gives these a handler of their own in development.
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.channels.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django.utils.autoreload": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "daphne": {"level": "WARNING"},
    },
}
