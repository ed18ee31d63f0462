"""Which workers run beside Celery's: those of the engine that DOWNLOADS_ENGINE names."""

from __future__ import annotations

from importlib.util import find_spec

from django.core.exceptions import ImproperlyConfigured

from .environment import choice

#: By engine: what follows `python` to start a worker of it. Celery's runs in any case.
BESIDE: dict[str, tuple[str, ...]] = {"celery": (), "huey": ("manage.py", "run_huey")}


def chosen() -> str:
    """The engine that does downloads. Raises ImproperlyConfigured where it is unknown, or its package is missing."""
    engine = choice("DOWNLOADS_ENGINE", tuple(BESIDE))
    if BESIDE[engine] and find_spec(engine) is None:
        raise ImproperlyConfigured(f"DOWNLOADS_ENGINE={engine} needs a package: pip install {engine}")
    return engine


def worker_beside() -> tuple[str, ...]:
    """The command of the further worker; () where Celery does everything."""
    return BESIDE[chosen()]
