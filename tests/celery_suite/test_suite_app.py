"""A worker of the suite's app would begin: without a checkout of Celery, nobody else would see that it does not."""

from __future__ import annotations

import subprocess
import sys

from .run import environment, write_apps

CODE = """
import conftest, suite_app
from celery import Celery
from celery.contrib.testing import app as testing
from tasks.runs.contradictions import refuse_contradictions
of_a_test = Celery("of-a-test")
of_a_test.config_from_object("django.conf:settings", namespace="CELERY")
for app in (suite_app.app, testing.TestApp("celery.tests", {"result_backend": "rpc"}), of_a_test):
    app.set_current()
    refuse_contradictions()
    print(app.Task.tracked, type(app.backend).__name__, app.conf.worker_send_task_events)
"""


def test_no_check_refuses_the_apps_and_their_tasks_are_runs(tmp_path):
    write_apps(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=tmp_path,
        env=environment(tmp_path, 1),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["True RunBackend True"] * 3, done.stdout + done.stderr
