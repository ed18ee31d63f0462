"""What Flower's buttons do to runs, over the HTTP that its pages send."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from django_starter.processes.ports import free_port
from tests.waiting import wait_until

from .process import Process
from .stack import ROOT


class Flower(Process):
    """Flower, as `start_dev.sh` starts it, with its API open to this machine."""

    def __init__(self, stack: Any, guard: Any) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "celery", "-A", "django_starter", "flower", "--address=127.0.0.1"]
        super().__init__(
            "flower",
            [*command, f"--port={port}", "--logging=warning"],
            cwd=ROOT,
            ready=self.answers,
            env={**stack.env, "FLOWER_UNAUTHENTICATED_API": "true"},
            log_path=stack.folder / "logs" / "flower.log",
            guard=guard,
        )

    def answers(self) -> bool:
        try:
            return bool(self.ask("GET", "/api/workers?refresh=1"))
        except OSError:
            return False

    def press(self, path: str, **form: object) -> Any:
        """What a button of its pages sends."""
        return self.ask("POST", path, urllib.parse.urlencode(form).encode())

    def state(self, task_id: str) -> str | None:
        """What it has heard of a task; None before it has heard of it."""
        try:
            return str(self.ask("GET", f"/api/task/info/{task_id}")["state"])
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return None

    def ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(self.url + path, body, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def flower(stack, guard):
    flower = Flower(stack, guard)
    flower.start()
    yield flower
    flower.kill()


def test_revoke_ends_a_run_that_waits_and_leaves_one_that_runs(stack, flower, tmp_path):
    gate = tmp_path / "gate"
    runs, waits = stack.start_job("hold", str(gate)), stack.start_job("echo", 1, options={"countdown": 2})
    stack.wait_state(runs, "STARTED")
    for one in (runs, waits):
        assert flower.press(f"/api/task/revoke/{one}", terminate="false") == {"message": f"Revoked '{one}'"}
    assert stack.wait_state(waits, "SUCCESS", "REVOKED")["state"] == "REVOKED"
    assert stack.task(runs)["state"] == "STARTED"
    gate.touch()
    assert stack.wait_state(runs, "SUCCESS", "REVOKED")["state"] == "SUCCESS"


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
def test_terminate_ends_a_run_that_does_not_listen_and_its_worker_works_on(stack, flower, signal):
    deaf = stack.start_job("deaf", seconds=60)
    stack.wait_state(deaf, "STARTED")
    wait_until(lambda: flower.state(deaf) == "STARTED", 10, "Flower knows it")
    flower.press(f"/api/task/revoke/{deaf}", terminate="true", signal=signal)
    task = stack.wait_state(deaf, "SUCCESS", "FAILURE", "REVOKED", timeout=10)
    assert (task["state"], task["attempt"], task["error"]["type"]) == ("REVOKED", 1, "Cancelled")
    echo = stack.start_job("echo", 1)
    assert stack.wait_state(echo, "SUCCESS")["result"] == 1
    wait_until(lambda: flower.state(deaf) == "REVOKED", 10, "Flower knows its end")


def test_flower_shows_results_and_sends_tasks(stack, flower):
    sent = flower.ask("POST", "/api/task/async-apply/testjobs.add", b'{"args": [20, 22]}')
    wait_until(lambda: flower.ask("GET", f"/api/task/result/{sent['task-id']}").get("result") == 42, 15)


def test_abort_is_told_to_the_task(stack, flower, tmp_path):
    gate = tmp_path / "gate"
    sent = flower.ask("POST", "/api/task/async-apply/odd.abortable", json.dumps({"args": [str(gate)]}).encode())
    wait_until(gate.exists, 15)
    assert flower.press(f"/api/task/abort/{sent['task-id']}")["message"] == f"Aborted '{sent['task-id']}'"
    wait_until(lambda: flower.ask("GET", f"/api/task/result/{sent['task-id']}").get("result") == "aborted", 15)


def test_limits_of_its_pages_are_those_of_the_workers(stack, flower):
    worker = stack.workers["w1"].node
    answer = flower.press("/api/task/rate-limit/testjobs.echo", workername=worker, ratelimit="100/s")
    assert "rate limit" in answer["message"]
    with pytest.raises(urllib.error.HTTPError):
        flower.press("/api/task/rate-limit/testjobs.nobody", workername=worker, ratelimit="1/s")
