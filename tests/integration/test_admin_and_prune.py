"""Staff read runs in the admin and change none; old runs are forgotten."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from progress.messages import TaskError
from tasks import runs
from tasks.models import State, TaskGroup, TaskRun
from tasks.tasks import demo_task, long_running_task

from .people import signed_in, start, visitor

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff():
    return signed_in("alice", is_staff=True, is_superuser=True)


@pytest.fixture
def failed() -> TaskRun:
    run = TaskRun.objects.get(pk=demo_task.delay().id)
    runs.claim(run.pk, "w1")
    error: TaskError = {"type": "ValueError", "message": "no luck"}
    runs.end(run.pk, State.FAILURE, attempt=1, error=error, traceback="Traceback: line 1\n    line 2")
    run.refresh_from_db()
    return run


# --- admin ------------------------------------------------------------------------------------------------------------


def test_staff_find_a_run_by_state_name_and_id(staff, failed):
    waiting = long_running_task.delay().id

    def listed(query: str) -> str:
        answer = staff.get(f"/admin/tasks/taskrun/{query}")
        assert answer.status_code == 200
        return str(answer.content.decode())

    assert failed.pk in listed("") and waiting in listed("")
    assert failed.pk in listed("?state__exact=FAILURE") and waiting not in listed("?state__exact=FAILURE")
    assert failed.pk not in listed(f"?q={waiting}") and waiting in listed(f"?q={waiting}")
    assert waiting in listed("?q=long_running") and failed.pk not in listed("?q=long_running")


def test_staff_read_the_traceback_and_can_change_nothing(staff, failed):
    address = f"/admin/tasks/taskrun/{failed.pk}/change/"
    page = staff.get(address).content.decode()
    assert "<pre>Traceback: line 1\n    line 2</pre>" in page and "no luck" in page
    assert "<textarea" not in page and 'name="_save"' not in page
    assert staff.post(address, {"state": "SUCCESS"}).status_code == 403
    assert staff.get("/admin/tasks/taskrun/add/").status_code == 403
    assert staff.post(f"/admin/tasks/taskrun/{failed.pk}/delete/", {"post": "yes"}).status_code == 403
    failed.refresh_from_db()
    assert failed.state == State.FAILURE


def test_no_page_of_the_admin_shows_whose_session_a_run_is_of(staff):
    client = visitor()
    key = "once-and-only-once"
    task_id = start(client, {"task": "demo_task"}, **{"Idempotency-Key": key}).json()["task_id"]
    TaskRun.objects.filter(pk=task_id).update(active_key=f"{client.session.session_key}:demo")
    for address in ("", f"?q={task_id}", f"{task_id}/change/", f"{task_id}/history/"):
        page = staff.get(f"/admin/tasks/taskrun/{address}", follow=True).content.decode()
        assert client.session.session_key not in page, address
        assert key not in page, address
    found = staff.get(f"/admin/tasks/taskrun/?q={client.session.session_key}").content.decode()
    assert task_id not in found, "a search says whose session it is"


def test_bob_and_charlie_do_not_see_the_admin(failed):
    for client in (signed_in("bob"), visitor()):
        answer = client.get("/admin/tasks/taskrun/")
        assert answer.status_code == 302 and "/login/" in answer["Location"]


# --- prune ------------------------------------------------------------------------------------------------------------


def test_runs_that_ended_long_ago_are_deleted_and_no_others(failed, capsys):
    waiting = TaskRun.objects.get(pk=demo_task.delay().id)
    old = timezone.now() - timedelta(days=31)
    TaskRun.objects.filter(pk=waiting.pk).update(accepted_at=old)
    ended = TaskRun.objects.get(pk=demo_task.delay().id)
    runs.cancel(ended.pk)
    TaskRun.objects.filter(pk=ended.pk).update(accepted_at=old, finished_at=old)
    TaskGroup.objects.create(id="open", members=[], body={}, done=False)
    TaskGroup.objects.update(created_at=old)

    call_command("prune_runs")
    assert "Deleted 1 runs" in capsys.readouterr().out
    assert set(TaskRun.objects.values_list("pk", flat=True)) == {failed.pk, waiting.pk}
    assert TaskGroup.objects.filter(pk="open").exists()


def test_an_age_may_be_given_and_nonsense_is_refused(failed):
    TaskRun.objects.filter(pk=failed.pk).update(finished_at=timezone.now() - timedelta(hours=2))
    call_command("prune_runs", older_than="3h")
    assert TaskRun.objects.filter(pk=failed.pk).exists()
    with pytest.raises(CommandError, match="30d"):
        call_command("prune_runs", older_than="soon")
    call_command("prune_runs", older_than="90m")
    assert not TaskRun.objects.filter(pk=failed.pk).exists()
