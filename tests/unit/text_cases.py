"""Tasks, and what is said of them: cases that Python and the browser share."""

from __future__ import annotations

from typing import Any, cast

from progress.messages import TaskState

#: Moments in their order: accepted, sent, started, sent again, started again, finished.
TIMES = [f"2026-01-01T12:00:0{second}+00:00" for second in range(6)]
ACCEPTED, SENT, STARTED, SENT_AGAIN, STARTED_AGAIN, FINISHED = TIMES


def case(said: tuple[str, str, str], times: tuple[str | None, ...], **task: Any) -> tuple[TaskState, dict[str, Any]]:
    told = dict(zip(("accepted_at", "sent_at", "started_at", "finished_at"), (ACCEPTED, None, None, None), strict=True))
    whole = {"attempt": 0, "tries": 1, "max_tries": 4, "lost": 0, "max_attempts": 3, "percent": None, **told, **task}
    path = dict(zip(("accepted", "queued", "started", "finished"), times, strict=True))
    expected = dict(zip(("state", "percent", "tries"), said, strict=True)) | {"path": path}
    return cast(TaskState, {"name": "tasks.echo", "ts": 0, **whole}), expected


FIRST = "try 1 of 4 · worker lost 0 of 3"
BEGAN = {"attempt": 1, "sent_at": SENT, "started_at": STARTED}
ENDED = {**BEGAN, "finished_at": FINISHED}
AGAIN = {"attempt": 2, "started_at": STARTED_AGAIN}

CASES: dict[str, tuple[TaskState, dict[str, Any]]] = {
    "accepted": case(("PENDING", "", ""), (ACCEPTED, None, None, None), state="PENDING"),
    "queued": case(("PENDING", "", ""), (ACCEPTED, SENT, None, None), state="PENDING", sent_at=SENT),
    "a chord's body that counts": case(
        ("PENDING", "50 %", ""), (ACCEPTED, None, None, None), state="PENDING", percent=50.0
    ),
    "runs, told nothing": case(("STARTED", "", FIRST), (ACCEPTED, SENT, STARTED, None), state="STARTED", **BEGAN),
    "runs, half done": case(
        ("STARTED", "49 %", FIRST), (ACCEPTED, SENT, STARTED, None), state="STARTED", percent=49.9, **BEGAN
    ),
    "runs, told 0": case(
        ("STARTED", "0 %", FIRST), (ACCEPTED, SENT, STARTED, None), state="STARTED", percent=0, **BEGAN
    ),
    "in its third step": case(
        ("STARTED", "step 3", FIRST), (ACCEPTED, SENT, STARTED, None), state="STARTED", step_number=3, **BEGAN
    ),
    "arrived before the row heard that it was sent": case(
        ("STARTED", "", FIRST),
        (ACCEPTED, STARTED, STARTED, None),
        state="STARTED",
        **{**BEGAN, "sent_at": None},
    ),
    "between two tries": case(
        ("RETRY", "", "try 2 of 4 · worker lost 0 of 3"),
        (ACCEPTED, None, None, None),
        state="RETRY",
        **{**BEGAN, "sent_at": None, "tries": 2},
    ),
    "between two tries, as a page saw it": case(
        ("RETRY", "", "try 2 of 4 · worker lost 0 of 3"), (ACCEPTED, None, None, None), state="RETRY", **BEGAN, tries=2
    ),
    "between two tries, sent again": case(
        ("RETRY", "", "try 2 of 4 · worker lost 0 of 3"),
        (ACCEPTED, SENT_AGAIN, None, None),
        state="RETRY",
        **{**BEGAN, "sent_at": SENT_AGAIN, "tries": 2},
    ),
    "its worker was lost": case(
        ("RETRY", "", "try 1 of 4 · worker lost 1 of 3"),
        (ACCEPTED, None, None, None),
        state="RETRY",
        **{**BEGAN, "sent_at": None, "lost": 1},
    ),
    "replaced, and held": case(
        ("PENDING", "", FIRST), (ACCEPTED, None, None, None), state="PENDING", **{**BEGAN, "sent_at": None}
    ),
    "in its fourth try": case(
        ("STARTED", "", "try 4 of 6 · worker lost 0 of 3"),
        (ACCEPTED, SENT_AGAIN, STARTED_AGAIN, None),
        state="STARTED",
        **{**AGAIN, "sent_at": SENT_AGAIN, "attempt": 4, "tries": 4, "max_tries": 6},
    ),
    "of a task that may try for ever": case(
        ("STARTED", "", "try 9 · worker lost 0 of 3"),
        (ACCEPTED, SENT_AGAIN, STARTED_AGAIN, None),
        state="STARTED",
        **{**AGAIN, "sent_at": SENT_AGAIN, "attempt": 9, "tries": 9, "max_tries": None},
    ),
    "done": case(
        ("SUCCESS", "100 %", FIRST), (ACCEPTED, SENT, STARTED, FINISHED), state="SUCCESS", percent=100, **ENDED
    ),
    "done without a word": case(
        ("SUCCESS", "100 %", FIRST), (ACCEPTED, SENT, STARTED, FINISHED), state="SUCCESS", **ENDED
    ),
    "done, but for two": case(
        ("done, 2 missing", "100 %", FIRST), (ACCEPTED, SENT, STARTED, FINISHED), state="SUCCESS", missing=2, **ENDED
    ),
    "failed before it told anything": case(
        ("FAILURE", "", FIRST), (ACCEPTED, SENT, STARTED, FINISHED), state="FAILURE", **ENDED
    ),
    "failed half way, with some missing": case(
        ("FAILURE", "50 %", FIRST), (ACCEPTED, SENT, STARTED, FINISHED), state="FAILURE", percent=50, missing=2, **ENDED
    ),
    "failed in its second step": case(
        ("FAILURE", "", FIRST), (ACCEPTED, SENT, STARTED, FINISHED), state="FAILURE", step_number=2, **ENDED
    ),
    "failed without a start: what it waited for failed": case(
        ("FAILURE", "", ""), (ACCEPTED, None, None, FINISHED), state="FAILURE", finished_at=FINISHED
    ),
    "cancelled while it waited": case(
        ("REVOKED", "", ""), (ACCEPTED, SENT, None, FINISHED), state="REVOKED", sent_at=SENT, finished_at=FINISHED
    ),
    "cancelled while it ran": case(
        ("REVOKED", "20 %", FIRST), (ACCEPTED, SENT, STARTED, FINISHED), state="REVOKED", percent=20, **ENDED
    ),
    "cancelled between two tries": case(
        ("REVOKED", "", "try 2 of 4 · worker lost 0 of 3"),
        (ACCEPTED, STARTED, STARTED, FINISHED),
        state="REVOKED",
        **{**ENDED, "sent_at": SENT_AGAIN, "tries": 2},
    ),
}

#: Silence at 12:10:00: what is said of it.
QUIET = {"advanced_at": "2026-01-01T12:05:30.000+00:00", "quiet_after": 60.0}
SILENCES: dict[str, tuple[dict[str, Any], str]] = {
    "told just now": ({"state": "STARTED", **QUIET, "advanced_at": "2026-01-01T12:09:01.000+00:00"}, ""),
    "told at the bound": (
        {"state": "STARTED", **QUIET, "advanced_at": "2026-01-01T12:09:00.000+00:00"},
        "no news for 1 min",
    ),
    "silent": ({"state": "STARTED", **QUIET, "message": "row 612"}, "no news for 4 min; last: row 612"),
    "silent, with numbers alone": (
        {"state": "STARTED", **QUIET, "message": "", "current": 612, "total": 1000, "unit": "rows"},
        "no news for 4 min; last: 612 / 1,000 rows",
    ),
    "silent for seconds, as it is usually quick": (
        {"state": "STARTED", "advanced_at": "2026-01-01T12:09:50.000+00:00", "quiet_after": 5},
        "no news for 10 s",
    ),
    "silent for days": (
        {"state": "STARTED", **QUIET, "advanced_at": "2025-12-29T12:00:00.000+00:00"},
        "no news for 3 d",
    ),
    "has never told anything": ({"state": "STARTED", "advanced_at": None, "quiet_after": 60}, ""),
    "is never asked to": ({"state": "STARTED", **QUIET, "quiet_after": None}, ""),
    "of another release": ({"state": "STARTED"}, ""),
    **{
        f"does not run: {state}": ({"state": state, **QUIET}, "")
        for state in ("PENDING", "RETRY", "SUCCESS", "FAILURE")
    },
}
