"""What `manage.py check` says of settings that contradict each other or open a door. `--deploy` asks all of it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from .environment import THIS_MACHINE

#: Characters of a METRICS_TOKEN that cannot be guessed.
TOKEN_LENGTH = 16


@register(Tags.security)
def check_contradictions(**_: object) -> list[CheckMessage]:
    """E001 to E003: what cannot work as it is set."""
    found: list[CheckMessage] = []
    plain = [origin for origin in settings.CSRF_TRUSTED_ORIGINS if origin.startswith("http://")]
    if settings.HTTPS and plain:
        found.append(
            Error(
                f"CSRF_TRUSTED_ORIGINS has {', '.join(plain)}, but the site is reached over https.",
                hint="Write https://…, or set HTTPS=0 where no proxy ends https in front of it.",
                id="django_starter.E001",
            )
        )
    limit = getattr(settings, "CELERY_TASK_TIME_LIMIT", None)
    visible = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("visibility_timeout")
    if limit and visible and limit >= visible:
        found.append(
            Error(
                f"CELERY_TASK_TIME_LIMIT is {limit:,} s, but the broker sends a message again after {visible:,} s.",
                hint="Raise visibility_timeout in CELERY_BROKER_TRANSPORT_OPTIONS above the time limit.",
                id="django_starter.E002",
            )
        )
    if settings.METRICS_TOKEN and len(settings.METRICS_TOKEN) < TOKEN_LENGTH:
        found.append(
            Error(
                f"METRICS_TOKEN has {len(settings.METRICS_TOKEN)} characters; it must have {TOKEN_LENGTH}.",
                hint="python3 -c 'import secrets; print(secrets.token_urlsafe(24))'",
                id="django_starter.E003",
            )
        )
    return found


@register(Tags.security)
def check_debug(**_: object) -> list[CheckMessage]:
    """W001: Django's debug pages show settings and source to any visitor who finds an error."""
    if settings.DEBUG and any(host not in THIS_MACHINE for host in settings.ALLOWED_HOSTS):
        return [
            Warning(
                "DEBUG is on, although ALLOWED_HOSTS lets in others than this machine.",
                hint="Unset DEBUG, or unset ALLOWED_HOSTS while you develop.",
                id="django_starter.W001",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def check_open_doors(**_: object) -> list[CheckMessage]:
    """W002 to W006, of a site that others can reach."""
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []

    def warn(number: int, message: str, hint: str) -> None:
        found.append(Warning(message, hint=hint, id=f"django_starter.W{number:03}"))

    if "*" in settings.ALLOWED_HOSTS:
        warn(2, "ALLOWED_HOSTS has '*': links are made with whatever name a visitor sends.", "Name the hosts.")
    if not settings.HTTPS:
        warn(3, "Others reach the site without https: passwords and sessions can be read on the way.", "Set HTTPS=1.")
    elif not settings.PROXIES:
        warn(
            4,
            "HTTPS is on, but PROXIES is 0: all visitors have the proxy's address, and share one limit.",
            "Set PROXIES to the number of proxies between the visitor and this server, usually 1.",
        )
    if not settings.TASKS_REQUIRE_LOGIN and not settings.TASKS_STARTS_PER_MINUTE:
        warn(
            5,
            "Anybody may start as many tasks as they like.",
            "Set TASKS_REQUIRE_LOGIN=1, or STARTS_PER_MINUTE to a number.",
        )
    for name in ("REDIS_URL", "BROKER_URL"):
        parts = urlsplit(getattr(settings, name).split(";")[0])
        if parts.hostname not in (None, "localhost", "127.0.0.1", "::1") and not parts.password:
            warn(6, f"{name} names {parts.hostname} without a password.", "Whoever reaches that server runs our tasks.")
    return found


@register(Tags.database, deploy=True)
def check_shared_database(**_: object) -> list[CheckMessage]:
    """W007: a file is on one machine."""
    host = urlsplit(settings.REDIS_URL.split(";")[0]).hostname
    sqlite = settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
    if sqlite and host not in (None, "localhost", "127.0.0.1", "::1"):
        return [
            Warning(
                f"The database is a file on this machine, but REDIS_URL names {host}.",
                hint="Workers on other machines would not find the runs: set DATABASE_URL to a PostgreSQL server.",
                id="django_starter.W007",
            )
        ]
    return []
