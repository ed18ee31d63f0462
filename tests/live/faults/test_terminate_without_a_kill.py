"""Celery's `revoke(terminate=True)` in a pool that cannot kill."""

from __future__ import annotations

import time


def test_a_worker_of_threads_asks_the_run_to_end_and_lives_on(new_stack):
    stack = new_stack().start(workers=0)
    worker = stack.start_worker("w1", concurrency=1, pool="threads")
    running, waiting = stack.start_job("nap", seconds=30), stack.start_job("nap", seconds=30)
    stack.wait_state(running, "STARTED")
    code = (
        "from django_starter.celery import app\nfor pk in {}: app.control.revoke(pk, terminate=True, signal='SIGKILL')"
    )
    stack.shell(code.format([waiting, running]))
    began = time.monotonic()
    for pk in (running, waiting):
        assert stack.wait_state(pk, "REVOKED", "FAILURE", "SUCCESS", timeout=20)["state"] == "REVOKED"
    assert time.monotonic() - began < 10
    assert stack.wait_state(stack.start_job("echo", 1), "SUCCESS")["result"] == 1
    assert worker.alive
