"""Django for the peers: one database, named as ours is, with SQLite's settings of ours."""

import os
from urllib.parse import unquote, urlsplit

SECRET_KEY = "a benchmark of peers"
USE_TZ = True
LOGGING_CONFIG = None
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPS = {"results": "django_celery_results", "tasks_db": "django_tasks_db"}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", *APPS.values()]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "unheard"]}}

_address = urlsplit(os.environ["DATABASE_URL"])
DATABASES: dict[str, dict[str, object]]
if _address.scheme == "sqlite":
    options = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _address.path, "OPTIONS": options}}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _address.path.strip("/"),
            "USER": unquote(_address.username or ""),
            "PASSWORD": unquote(_address.password or ""),
            "HOST": _address.hostname,
            "PORT": _address.port,
            "CONN_MAX_AGE": 600,
        }
    }
