"""Signals, `control`, `inspect`, queues and limits are those of a bare Celery app: one script is run on both."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.waiting import wait_until

from .celery_control_questions import NODE
from .stack import ROOT
from .test_celery_results import answers, assert_same, bare_env

#: Questions whose answers differ, and why.
DIFFERS = dict.fromkeys(
    ("signals: a hard limit", "signals: terminated"),
    "task_postrun of a task whose process is being ended has the state IGNORED, where Celery gives none",
)
#: The workers, by name: one process and two queues; two that are replaced after two tasks each.
WORKERS = {
    NODE: ("-Q", "special,video", "-c", "1"),
    "other@test": ("-Q", "celery,recycled", "-c", "2", "--max-tasks-per-child", "2"),
}


def test_signals_control_and_queues_are_those_of_a_bare_celery_app(new_stack, tmp_path):
    stack = new_stack({"DJANGO_SETTINGS_MODULE": "tests.live.special_settings", "HEARD": str(tmp_path / "heard-ours")})
    (tmp_path / "heard-ours").touch()
    stack.prepare_database()
    stack.valkey.start()
    bare = {**bare_env(stack), "HEARD": str(tmp_path / "heard-bare")}
    (tmp_path / "heard-bare").touch()
    for node, options in WORKERS.items():
        stack.start_worker(node.partition("@")[0], args=options, wait=False)
    command = [sys.executable, "-m", "celery", "-A", "tests.live.bare_celery", "worker", "-l", "info", "-n"]
    log_path = tmp_path / "bare.log"
    with log_path.open("w") as log:
        workers = [
            subprocess.Popen([*command, *more], cwd=ROOT, env=bare, stdout=log, stderr=log, start_new_session=True)
            for more in ((node, *options) for node, options in WORKERS.items())
        ]
    try:
        wait_until(lambda: log_path.read_text().count(" ready.") == len(workers), 60)
        for worker in stack.workers.values():
            worker.wait_ready()
        with ThreadPoolExecutor() as pool:
            asked = [
                pool.submit(answers, whose, tmp_path, env, "control")
                for whose, env in (("ours", stack.env), ("bare", bare))
            ]
            ours, theirs = (one.result() for one in asked)
    finally:
        for one in workers:
            one.terminate()
        for one in workers:
            one.wait(20)
    assert len(theirs) >= 80
    assert_same(ours, theirs, DIFFERS)
