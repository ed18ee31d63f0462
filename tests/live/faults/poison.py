"""Rows that no code of ours would write, each wrong in one way, as another program or an old release may leave them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .rows import Rows

FINAL = ("SUCCESS", "FAILURE", "REVOKED")

#: What a healthy waiting run has.
RUN: dict[str, Any] = {
    "name": "testjobs.echo",
    "message": {"args": [], "kwargs": {}, "options": {}},
    "queue": "celery",
    "session_key": "",
    "held": False,
    "unfollowed": False,
    "state": "PENDING",
    "attempt": 0,
    "max_attempts": 3,
    "worker": "",
    "lost": 0,
    "traceback": "",
    "progress": {},
}
JSON_COLUMNS = ("message", "result", "error", "progress", "members", "body")
OPTIONS_OF = ("link", "link_error", "chain", "chord", "headers", "retries", "time_limit", "root_id", "group_index")


@dataclass(frozen=True)
class Raw:
    """A text that is stored as it is, in a column that has another type."""

    text: str


@dataclass(frozen=True, slots=True)
class Poison:
    """`columns` over those of a healthy run. `ends`: the states of which it must be one in the end."""

    columns: dict[str, Any]
    ends: tuple[str, ...] = ("FAILURE",)
    only_sqlite: bool = False


def message(**parts: Any) -> dict[str, Any]:
    return {"message": {"args": [], "kwargs": {}, "options": {}, **parts}}


def options(**parts: Any) -> dict[str, Any]:
    return message(options=parts)


def ended(state: str, **columns: Any) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(minutes=1)
    return {"state": state, "attempt": 1, "sent_at": at, "started_at": at, "finished_at": at, **columns}


def poisons() -> dict[str, Poison]:
    """Each kind by its name, which is the run's id as well."""
    far, long_ago = datetime(9999, 12, 31, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)
    well = ("SUCCESS",)
    kinds: dict[str, Poison] = {
        # the message
        "message-list": Poison({"message": [1, 2]}),
        "message-number": Poison({"message": 7}),
        "message-null": Poison({"message": Raw("null")}),
        "message-text": Poison({"message": Raw('"text"')}),
        "message-empty": Poison({"message": {}}, well),
        "message-no-json": Poison({"message": Raw("{no json")}, only_sqlite=True),
        "args-number": Poison(message(args=7)),
        "args-object": Poison(message(args={"a": 1})),
        "args-too-many": Poison(message(args=list(range(9)))),
        "kwargs-list": Poison(message(kwargs=[1])),
        "kwargs-unknown": Poison(message(kwargs={"nobody": 1})),
        "options-list": Poison(message(options=[1])),
        "options-text": Poison(message(options="text")),
        "options-unknown": Poison(options(nonsense={"a": [1]}), (*well, "FAILURE")),
        "serializer": Poison(options(serializer="nope")),
        "compression": Poison(options(compression="nope")),
        "option-queue-number": Poison(options(queue=7), FINAL),
        "option-eta": Poison(options(eta="soon"), FINAL),
        "option-priority": Poison(options(priority="high"), FINAL),
        "typed-nonsense": Poison(message(args=[{"__type__": "datetime", "__value__": "never"}]), FINAL),
        "surrogate-argument": Poison({"message": Raw('{"args": ["half \\ud800"]}')}, FINAL, only_sqlite=True),
        # names and numbers
        "unknown-task": Poison({"name": "nobody.knows"}),
        "no-name": Poison({"name": ""}),
        "attempts-many": Poison({"attempt": 2_000_000_000, "lost": 2_000_000_000}, FINAL),
        "max-attempts-none": Poison({"max_attempts": 0}, FINAL),
        "attempt-negative": Poison({"attempt": -1}, FINAL, only_sqlite=True),
        "priority-odd": Poison({"priority": 32_000}, FINAL),
        "state-unknown": Poison({"state": "DANCING"}, ("DANCING",)),
        # times
        "eta-far": Poison({"eta": far}, ("PENDING",)),
        "eta-long-ago": Poison({"eta": long_ago}, well),
        # A text is later than any time: as what they are, these wait.
        "eta-nonsense": Poison({"eta": Raw("soon")}, ("PENDING",), only_sqlite=True),
        "expires-long-ago": Poison({"expires": long_ago}, ("REVOKED",)),
        "expires-nonsense": Poison({"expires": Raw("soon")}, FINAL, only_sqlite=True),
        "retry-nonsense": Poison({"state": "RETRY", "next_retry_at": Raw("soon")}, ("RETRY",), only_sqlite=True),
        "retry-without-time": Poison({"state": "RETRY", "attempt": 1}, FINAL),
        "accepted-in-future": Poison({"accepted_at": datetime.now(UTC) + timedelta(days=1)}, (*well, "PENDING")),
        # workers
        "worker-unknown": Poison({"state": "STARTED", "attempt": 1, "worker": "nobody:1:x"}, FINAL),
        "worker-none": Poison({"state": "STARTED", "attempt": 3, "lost": 2, "worker": ""}, FINAL),
        "started-never": Poison({"state": "STARTED", "attempt": 0, "worker": "x" * 200}, FINAL),
        "cancel-asked-while-waiting": Poison({"cancel_requested_at": long_ago}, ("REVOKED",)),
        # what waits for what
        "after-itself": Poison({"held": True, "after": "after-itself"}),
        "after-nobody": Poison({"held": True, "after": "never-there"}),
        "after-nothing": Poison({"held": True}, FINAL),
        "after-b": Poison({"held": True, "after": "after-a"}, FINAL),
        "after-a": Poison({"held": True, "after": "after-b"}, FINAL),
        "after-refused": Poison({"held": True, "after": "serializer"}),
        "parent-a": Poison({"parent_id": "parent-b"}, well),
        "parent-b": Poison({"parent_id": "parent-a"}, well),
        "parent-itself": Poison({"parent_id": "parent-itself"}, well),
        "group-of-nobody": Poison({"group_id": "never-there"}, well),
        "retry-of-itself": Poison({"retry_of": "retry-of-itself"}, well),
        # ends that are no ends
        "result-large": Poison(ended("SUCCESS", result="x" * 900_000), well),
        "result-surrogate": Poison(ended("SUCCESS", result=Raw('"half \\ud800"')), well, only_sqlite=True),
        "error-list": Poison(ended("FAILURE", error=[1])),
        "error-text": Poison(ended("FAILURE", error=Raw('"text"'))),
        "error-number-within": Poison(ended("FAILURE", error={"type": 7, "message": None})),
        "error-none": Poison(ended("FAILURE")),
        "progress-list": Poison(ended("FAILURE", error={"type": "E", "message": "m"}, progress=[1])),
        "progress-odd": Poison(ended("SUCCESS", progress={"current": "x", "steps": 7, "percent": [1]}), well),
        "ended-never": Poison({**ended("REVOKED"), "sent_at": None, "started_at": None, "attempt": 0}, ("REVOKED",)),
        # groups
        "in-members-odd": Poison({"group_id": "members-odd"}, well),
        "in-members-text": Poison({"group_id": "members-text"}, well),
        "in-body-odd": Poison({"group_id": "body-odd"}, well),
        "in-body-unknown": Poison({"group_id": "body-unknown"}, well),
        "in-left-negative": Poison({"group_id": "left-negative"}, well),
        "behind-members-odd": Poison({"held": True, "after": "members-odd"}, FINAL),
        "behind-body-odd": Poison({"held": True, "after": "body-odd"}, FINAL),
    }
    # Each option that another part of the system reads, of the wrong type; of a run that waits, and of one that has
    # ended well or not, and that nobody has heard.
    for name in OPTIONS_OF:
        for kind, value in (("number", 7), ("list", [7]), ("text", "text"), ("object", {"a": 1})):
            kinds[f"option-{name}-{kind}"] = Poison(options(**{name: value}), FINAL)
            if name in ("link", "link_error", "chain"):
                for state in ("SUCCESS", "FAILURE"):
                    key = f"unheard-{name}-{kind}-{state.lower()}"
                    error = {"type": "E", "message": "m"} if state == "FAILURE" else None
                    columns = ended(state, unfollowed=True, error=error, **options(**{name: value}))
                    kinds[key] = Poison(columns, (state,))
                    kinds[f"behind-{key}"] = Poison({"held": True, "after": key}, FINAL)
    kinds["unheard-message-list"] = Poison(ended("SUCCESS", unfollowed=True, message=[1]), well)
    kinds["behind-unheard-message-list"] = Poison({"held": True, "after": "unheard-message-list"}, FINAL)
    return kinds


def groups() -> dict[str, dict[str, Any]]:
    """Groups that nobody can read, by id."""

    def members(pk: str) -> list[Any]:
        return [[pk, None], [[[f"in-{pk}", None], None]]]

    body: dict[str, Any] = {
        "task": "testjobs.total",
        "args": [],
        "kwargs": {},
        "options": {"task_id": "nobody"},
        "subtask_type": None,
    }
    return {
        "members-odd": {"members": {"a": 1}, "body": body, "left": 1},
        "members-text": {"members": Raw('"text"'), "body": body, "left": 1},
        "body-odd": {"members": members("body-odd"), "body": [7], "left": 1},
        "body-unknown": {"members": members("body-unknown"), "body": {**body, "task": "nobody.knows"}, "left": 1},
        "left-negative": {"members": members("left-negative"), "body": body, "left": -5},
        "without-parts": {"members": [["without-parts", None], []], "body": body, "left": 0},
    }


def insert(table: Rows, session_key: str, *, postgres: bool) -> dict[str, Poison]:
    """All of them, straight into the tables, as this visitor's; what was inserted."""
    at = datetime.now(UTC) - timedelta(seconds=30)
    kinds = {pk: one for pk, one in poisons().items() if not (postgres and one.only_sqlite)}
    let_in = {}
    for pk, one in kinds.items():
        row = {**RUN, "id": pk, "accepted_at": at, "session_key": session_key, **one.columns}
        try:
            _insert(table, "tasks_taskrun", row)
        except Exception as error:  # the database itself refuses it
            print(f"{pk} is not let in: {error}")
            continue
        let_in[pk] = one
    for pk, columns in groups().items():
        row = {"id": pk, "created_at": at, "done": False, "untracked": False, **columns}
        _insert(table, "tasks_taskgroup", row)
    return let_in


def _insert(table: Rows, name: str, row: dict[str, Any]) -> None:
    columns = ", ".join(f'"{column}"' for column in row)
    marks = ", ".join("?" for _ in row)
    values = [_stored(column, value) for column, value in row.items()]
    table.query(f"INSERT INTO {name} ({columns}) VALUES ({marks}) RETURNING id", *values)


def _stored(column: str, value: Any) -> Any:
    if isinstance(value, Raw):
        return value.text
    if column in JSON_COLUMNS and value is not None:
        return json.dumps(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.%f") if value.year > 999 else f"{value.year:04}-01-02 00:00:00"
    return value
