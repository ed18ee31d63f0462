"""The checks in their order, and how they are run: each for a bounded time, and none is lost because another failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from django.conf import settings

from tasks.runs.ask import ask

from . import frontends, machine, servers, work
from .context import Context
from .finding import Finding, failed, skipped

#: Seconds that a check takes at most, unless it says otherwise. Its own clients give up earlier, and say why.
CHECK_TIMEOUT = 5.0
#: Seconds in which what the trial wrote is removed.
REMOVE_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Check:
    """`needs`: without these it cannot be run. `hint`: what to do when it raises or does not come back in time."""

    name: str
    run: Callable[[Context], Finding]
    needs: tuple[str, ...] = ()
    hint: str = ""
    timeout: float = CHECK_TIMEOUT


#: First what other checks need: one fault is named once, and what it makes impossible is skipped.
CHECKS = (
    Check("python", machine.python),
    Check("packages", machine.packages, hint=machine.install()),
    Check("settings", machine.check_settings),
    Check("disk", machine.disk),
    Check("database", servers.database, hint=servers.DATABASE_HINT),
    Check("migrations", servers.migrations, ("database",), servers.DATABASE_HINT),
    Check("broker", servers.broker),
    Check("redis", servers.redis),
    Check("persistence", servers.persistence, ("broker",)),
    Check("eviction", servers.eviction),
    Check("visibility", servers.visibility),
    Check("channels", servers.channels, ("redis",)),
    Check("clocks", servers.clocks, ("redis",)),
    Check("workers", work.workers, ("redis",), settings.TASKS_START_WORKER),
    Check("canary", work.canary, ("migrations", "broker", "redis"), work.WORKER_LOG, work.CANARY + 2),
    Check("schedules", work.schedules, ("migrations",), work.SCHEDULES),
    Check("invariants", work.invariants, ("migrations", "redis"), work.WORKER_LOG, work.LASTING + 4),
    Check("ports", frontends.ports, timeout=8.0),  # two may hang
    Check("web", frontends.web, hint=frontends.RESTART_WEB),
    Check("socket", frontends.socket, ("migrations", "web"), frontends.RESTART_WEB),
    Check("flower", frontends.flower, hint=frontends.RESTART_FLOWER),
)
NAMES = tuple(check.name for check in CHECKS)

#: Why a check is not run, by what it needs.
WITHOUT = {
    "database": "the database does not answer",
    "migrations": "the database has not all its tables",
    "broker": "the broker does not answer",
    "redis": "Redis does not answer",
    "web": "the web server does not answer",
}


def run_checks(context: Context, leave_out: Collection[str] = ()) -> Iterator[tuple[str, Finding]]:
    """Each check's name and finding, as they come. Afterwards nothing of them is left in the database."""
    try:
        for check in CHECKS:
            found = _skipped(check, context, leave_out) or _run(check, context)
            context.findings[check.name] = found
            yield check.name, found
    finally:
        ask(context.trial.remove, REMOVE_TIMEOUT)


def _skipped(check: Check, context: Context, leave_out: Collection[str]) -> Finding | None:
    if check.name in leave_out:
        return skipped("left out")
    for name in check.needs:
        if context.findings[name].status == "failed":
            return skipped(WITHOUT[name])
        if context.findings[name].status == "skipped":
            return context.findings[name]  # for the same reason
    return None


def _run(check: Check, context: Context) -> Finding:
    try:
        found = ask(lambda: check.run(context), check.timeout)
    except Exception as error:
        return failed(f"{type(error).__name__}: {' '.join(str(error).split())}", check.hint)
    return found or failed(f"No answer within {check.timeout:g} s.", check.hint)
