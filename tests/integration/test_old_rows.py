"""A database from before it was stored what waits for what: after `migrate` its chains and chords go on and end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from tasks import runs
from tasks.models import State, TaskGroup, TaskRun

pytestmark = pytest.mark.django_db(transaction=True)

DEMO = "tasks.tasks.demo_task"


def link(task_id: str, **options: Any) -> dict[str, Any]:
    """A signature as Celery writes one into a message."""
    return {
        "task": DEMO,
        "args": [],
        "kwargs": {},
        "options": {"task_id": task_id, **options},
        "subtask_type": None,
        "immutable": True,
    }


@pytest.fixture
def old() -> Any:
    """The models as they were, with a run in each state, a chain and a chord that are under way."""
    executor = MigrationExecutor(connection)
    executor.migrate([("tasks", "0003_run_indexes")])
    models = executor.loader.project_state([("tasks", "0003_run_indexes")]).apps
    run, group = models.get_model("tasks", "TaskRun"), models.get_model("tasks", "TaskGroup")
    now = timezone.now()

    def make(pk: str, **values: Any) -> None:
        run.objects.create(id=pk, **{"name": DEMO, "queue": "celery", "accepted_at": now, **values})

    for state in State.values:
        ended = now if state in ("SUCCESS", "FAILURE", "REVOKED") else None
        make(f"one-{state}", state=state, finished_at=ended, message={"args": [], "kwargs": {}, "options": {}})
    chain = [link("third"), link("second")]  # as Celery has it: the next link is the last
    make(
        "first",
        state="STARTED",
        attempt=1,
        worker="w1",
        message={"args": [], "kwargs": {}, "options": {"chain": chain}},
    )
    make("second", held=True)
    make("third", held=True)
    make("part-1", state="SUCCESS", finished_at=now, group_id="header", result=1)
    make("part-2", state="STARTED", attempt=1, worker="w1", group_id="header")
    make("body", held=True)
    members = [["header", None], [[["part-1", None], None], [["part-2", None], None]]]
    group.objects.create(id="header", members=members, body=link("body"))
    yield
    MigrationExecutor(connection).migrate(MigrationExecutor(connection).loader.graph.leaf_nodes("tasks"))


def test_old_chains_and_chords_go_on_and_end(old):
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("tasks"))

    waits = dict(TaskRun.objects.filter(held=True).values_list("pk", "after"))
    assert waits == {"second": "first", "third": "second", "body": "header"}
    assert TaskGroup.objects.get(pk="header").left == 1
    assert {row.pk: row.state for row in TaskRun.objects.filter(pk__startswith="one-")} == {
        f"one-{state}": state for state in State.values
    }
    # The link before fails: so do those behind it. The last part ends: the body is let go.
    assert runs.end("first", "FAILURE", attempt=1, error={"type": "Error", "message": "no"})
    assert set(TaskRun.objects.filter(pk__in=["second", "third"]).values_list("state", flat=True)) == {"FAILURE"}
    assert runs.end("part-2", "SUCCESS", attempt=1, result=2)
    assert TaskRun.objects.get(pk="body").held is False


def test_a_start_under_a_key_of_before_gives_the_run_that_is_there(old):
    executor = MigrationExecutor(connection)
    executor.migrate([("tasks", "0005_follow_old_rows")])
    before = (
        executor.loader.project_state([("tasks", "0005_follow_old_rows")]).apps.get_model("tasks", "TaskRun").objects
    )
    message: Any = {"args": [], "kwargs": {}, "options": {}}
    start = {"name": DEMO, "queue": "celery", "message": message}
    before.create(id="new", accepted_at=timezone.now(), idempotency_key=":a:b", **start)
    before.create(id="stale", accepted_at=timezone.now() - timedelta(days=2), idempotency_key=":c", **start)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("tasks"))
    assert runs.accept(runs.Start(name=DEMO, queue="celery", message=message), idempotency_key="a:b").pk == "new"
    assert runs.accept(runs.Start(name=DEMO, queue="celery", message=message), idempotency_key="c").pk != "stale"
