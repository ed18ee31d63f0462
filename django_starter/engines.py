"""Which workers run beside Celery's: those of the engine that DOWNLOADS_ENGINE names."""

from __future__ import annotations

from .environment import choice

#: By engine: what follows `python` to start a worker of it. Celery's runs in any case.
BESIDE: dict[str, tuple[str, ...]] = {"celery": (), "huey": ("manage.py", "run_huey")}


def worker_beside() -> tuple[str, ...]:
    """The command of the further worker; () where Celery does everything."""
    return BESIDE[choice("DOWNLOADS_ENGINE", tuple(BESIDE))]
