"""What django-celery-results has stored becomes runs that have ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from celery.result import AsyncResult
from django.core.management import CommandError, call_command

from tasks.models import State, TaskRun
from tasks.runs.importing import BATCH, import_results
from tasks.runs.invariants import check

from .people import signed_in

pytestmark = pytest.mark.django_db

CREATED, DONE = datetime(2025, 3, 1, 8, tzinfo=UTC), datetime(2025, 3, 1, 9, tzinfo=UTC)


@dataclass
class Old:
    """A row as its table has it."""

    task_id: str = "old"
    task_name: str | None = "tasks.tasks.demo_task"
    task_args: str | None = "\"(1, 'two')\""
    task_kwargs: str | None = "\"{'three': 3}\""
    status: str = "SUCCESS"
    worker: str | None = "w1@host"
    result: str | None = '{"orders": 3}'
    traceback: str | None = None
    date_created: datetime = CREATED
    date_done: datetime = DONE
    more: dict[str, Any] = field(default_factory=dict)


FAILED = json.dumps({"exc_type": "ValueError", "exc_message": ["no more orders"], "exc_module": "builtins"})

#: Each row, and what of its run is looked at.
ROWS: dict[str, tuple[Old, dict[str, Any]]] = {
    "a success": (Old(), {"state": "SUCCESS", "result": {"orders": 3}, "error": None, "worker": "w1@host"}),
    "its times": (Old(), {"accepted_at": CREATED, "finished_at": DONE}),
    "its arguments": (Old(), {"args": [1, "two"], "kwargs": {"three": 3}}),
    "arguments without JSON around them": (Old(task_args="(1,)", task_kwargs="{}"), {"args": [1], "kwargs": {}}),
    "arguments as JSON": (Old(task_args="[1]", task_kwargs='{"a": 2}'), {"args": [1], "kwargs": {"a": 2}}),
    "arguments that only Python had": (Old(task_args='"(<object at 0x7f>,)"'), {"args": []}),
    "arguments that are no JSON": (Old(task_args='"({1, 2},)"'), {"args": []}),
    "arguments that were cut": (Old(task_args='"(1, 2, ...'), {"args": []}),
    "no arguments": (Old(task_args=None, task_kwargs=None), {"args": [], "kwargs": {}}),
    "a failure": (
        Old(status="FAILURE", result=FAILED, traceback="Traceback …"),
        {"state": "FAILURE", "result": None, "error": {"type": "ValueError", "message": "no more orders"}},
    ),
    "a failure that says nothing": (
        Old(status="FAILURE", result=None),
        {"error": {"type": "Exception", "message": ""}},
    ),
    "a revoked one": (
        Old(status="REVOKED", result=json.dumps({"exc_type": "TaskRevokedError", "exc_message": "revoked"})),
        {"state": "REVOKED", "error": {"type": "TaskRevokedError", "message": "revoked"}},
    ),
    "a result that is no JSON": (Old(result="gASVBQ…=="), {"result": "gASVBQ…=="}),
    "no result": (Old(result=None), {"result": None}),
    "NUL": (Old(result='"a\\u0000b"', traceback="x\x00y"), {"result": "a�b", "traceback": "x�y"}),
    "no name": (Old(task_name=None), {"name": "unknown"}),
}


@pytest.mark.parametrize(("old", "wanted"), ROWS.values(), ids=ROWS)
def test_a_result_that_has_ended_is_a_run_that_has_ended(old, wanted):
    assert import_results([old]) == 1
    run = TaskRun.objects.get()
    assert {name: getattr(run, name) for name in wanted} == wanted
    assert check() == []
    staff = signed_in("sarah", is_staff=True, is_superuser=True)
    for path in ("/runs/", f"/tasks/{run.pk}/", f"/api/tasks/{run.pk}/", f"/admin/tasks/taskrun/{run.pk}/change/"):
        assert staff.get(path).status_code == 200, path
    assert signed_in("bob").get(f"/tasks/{run.pk}/").status_code == 404
    again = staff.post(f"/tasks/{run.pk}/retry/", headers={"Accept": "application/json"})
    assert again.status_code == (409 if type(run.message["args"]) is str or run.name == "unknown" else 202), (
        again.content
    )


@pytest.mark.parametrize("status", ["PENDING", "STARTED", "RETRY", "RECEIVED", "PROGRESS"])
def test_what_has_not_ended_is_left(status):
    assert import_results([Old(status=status)]) == 0


def test_nothing_is_imported_twice_and_nothing_that_is_there_is_touched():
    TaskRun.objects.create(pk="there", name="mine", accepted_at=CREATED)
    old = [Old(task_id=f"old-{number}") for number in range(BATCH + 1)] + [Old(task_id="there")]
    assert import_results(old) == BATCH + 1
    assert import_results(old) == 0
    assert TaskRun.objects.get(pk="there").state == State.PENDING


def test_celerys_own_question_is_answered():
    import_results([Old(), Old(task_id="bad", status="FAILURE", result=FAILED)])
    assert AsyncResult("old").get(timeout=1) == {"orders": 3}
    bad: Any = AsyncResult("bad")
    assert (bad.state, str(bad.result)) == ("FAILURE", "no more orders")


def test_the_command_says_where_there_is_nothing_to_import():
    with pytest.raises(CommandError, match="django_celery_results is not among"):
        call_command("import_results")
