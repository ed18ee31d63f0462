"""The questions in their order, and how they are asked: each for a bounded time, none kept from us by another's end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from django.conf import settings

from . import doors, machine, servers, work
from .bounded import bounded
from .finding import Finding, failed, skipped
from .patient import Patient

#: Seconds that a question takes at most, unless it says otherwise. Its own clients give up earlier, and say why.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Question:
    """`needs`: without these it cannot be asked. `mend`: what to do when it raises or does not come back."""

    name: str
    ask: Callable[[Patient], Finding]
    needs: tuple[str, ...] = ()
    mend: str = ""
    patience: float = PATIENCE


#: First what others stand on: one fault is named once, and what it makes impossible is skipped.
QUESTIONS = (
    Question("python", machine.python),
    Question("packages", machine.packages, mend=machine.install()),
    Question("settings", machine.check_settings),
    Question("disk", machine.disk),
    Question("database", servers.database, mend=servers.MEND_DATABASE),
    Question("migrations", servers.migrations, ("database",), servers.MEND_DATABASE),
    Question("broker", servers.broker),
    Question("redis", servers.redis),
    Question("persistence", servers.persistence, ("broker",)),
    Question("eviction", servers.eviction),
    Question("visibility", servers.visibility),
    Question("channels", servers.channels, ("redis",)),
    Question("clocks", servers.clocks, ("redis",)),
    Question("workers", work.workers, ("redis",), settings.TASKS_START_WORKER),
    Question("canary", work.canary, ("migrations", "broker", "redis"), work.WORKER_LOG, work.CANARY + 2),
    Question("ports", doors.ports, patience=8.0),  # two may hang
    Question("web", doors.web, mend=doors.RESTART_WEB),
    Question("socket", doors.socket, ("migrations", "web"), doors.RESTART_WEB),
    Question("flower", doors.flower, mend=doors.RESTART_FLOWER),
)
NAMES = tuple(question.name for question in QUESTIONS)

#: Why a question is not asked, by what it needs.
WITHOUT = {
    "database": "the database does not answer",
    "migrations": "the database has not all its tables",
    "broker": "the broker does not answer",
    "redis": "Redis does not answer",
    "web": "the web server does not answer",
}


def examine(patient: Patient, leave_out: Collection[str] = ()) -> Iterator[tuple[str, Finding]]:
    """Each question's name and finding, as they come. Afterwards nothing of it is left in the database."""
    try:
        for question in QUESTIONS:
            found = _unasked(question, patient, leave_out) or _ask(question, patient)
            patient.findings[question.name] = found
            yield question.name, found
    finally:
        bounded(patient.guest.leave, PATIENCE)


def _unasked(question: Question, patient: Patient, leave_out: Collection[str]) -> Finding | None:
    if question.name in leave_out:
        return skipped("left out")
    for name in question.needs:
        if patient.findings[name].status == "failed":
            return skipped(WITHOUT[name])
        if patient.findings[name].status == "skipped":
            return patient.findings[name]  # for the same reason
    return None


def _ask(question: Question, patient: Patient) -> Finding:
    try:
        found = bounded(lambda: question.ask(patient), question.patience)
    except Exception as error:
        return failed(f"{type(error).__name__}: {' '.join(str(error).split())}", question.mend)
    return found or failed(f"No answer within {question.patience:g} s.", question.mend)
