"""A connection to PostgreSQL that notices silence: what is waited for, and when somebody asks why."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from django_starter import environment
from django_starter.postgresql import line
from django_starter.postgresql.base import DatabaseWrapper
from django_starter.postgresql.line import Line, watched


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(line, "time", clock)
    return clock


def waiting(times):
    """As psycopg waits: `times` times for something to read; returns what it was told."""
    told = []
    for _ in range(times):
        told.append((yield "read"))
    return told


def nobody_asks(seconds: float) -> float:
    raise AssertionError(f"asked after {seconds} s")


def drive(gen, answers, clock):
    """Run `gen` with (seconds until, what is ready); its result."""
    assert next(gen) == "read"
    try:
        for seconds, ready in answers:
            clock.now += seconds
            gen.send(ready)
    except StopIteration as end:
        return end.value
    return "still waits"


def test_what_is_waited_for_comes_through(clock):
    answers = [(0.1, 0), (0.1, "ready")]
    assert drive(watched(waiting(2), nobody_asks, 4), answers, clock) == [0, "ready"]


def test_bytes_that_come_are_no_silence(clock):
    answers = [(3, "ready"), (3, "ready"), (3, 0), (0.5, "ready")]
    assert drive(watched(waiting(4), nobody_asks, 4), answers, clock) == ["ready", "ready", 0, "ready"]


def test_silence_is_asked_about_and_again_when_told(clock):
    asked = []

    def silent(seconds):
        asked.append(seconds)
        return 1.0

    answers = [(3, 0), (1, 0), (0.5, 0), (0.5, 0), (2, 0)]
    assert drive(watched(waiting(6), silent, 4), answers, clock) == "still waits"
    assert asked == [4, 5, 7]


@pytest.mark.parametrize(
    ("states", "seconds", "ends"),
    [
        ([True] * 50, 4.0, False),
        ([False, False], 4.0, True),
        ([False, True, False, True], 4.0, False),
        ([None, None], 4.0, False),
        ([None], line.GIVEN_UP_AFTER, True),
    ],
    ids=["is worked on", "is not worked on", "was on its way", "cannot be said", "could not be said for long"],
)
def test_who_is_given_up(states, seconds, ends):
    closed = []
    pgconn = SimpleNamespace(transaction_status=TransactionStatus.ACTIVE, finish=lambda: closed.append(True))
    one = Line.__new__(Line)
    vars(one).update(pgconn=pgconn, _is_worked_on=iter(states).__next__)

    def ask():
        for _ in states:
            one._silent(seconds)

    if ends:
        with pytest.raises(psycopg.OperationalError, match="silent"):
            ask()
    else:
        ask()
    assert bool(closed) is ends
    vars(one).pop("pgconn")  # its __del__ shall not look


def test_nobody_who_listens_is_given_up():
    one = Line.__new__(Line)
    vars(one).update(pgconn=SimpleNamespace(transaction_status=TransactionStatus.IDLE))
    assert one._silent(3_600) == line.SILENT_AFTER
    vars(one).pop("pgconn")


def test_the_address_of_a_server_brings_its_bounds(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://me@db:5432/site?connect_timeout=9")
    found = environment.database()
    assert found["ENGINE"] == "django_starter.postgresql"
    assert str(found["OPTIONS"]["connect_timeout"]) == "9"
    assert found["OPTIONS"]["tcp_user_timeout"] == 8_000
    assert found["OPTIONS"]["keepalives_idle"] == 5


def test_the_backend_is_djangos_but_for_its_connections():
    assert DatabaseWrapper.vendor == "postgresql"
    assert DatabaseWrapper.Database.connect == Line.connect
    assert DatabaseWrapper.Database.OperationalError is psycopg.OperationalError
