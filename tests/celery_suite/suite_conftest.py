"""The conftest above Celery's `t`: its fixtures make apps of ours, its tests stay as they are. See `run`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import celery.contrib.testing.app as testing_app
import celery.contrib.testing.worker as testing_worker
import pytest
import suite_app  # type: ignore[import-not-found]  # beside this file, where it is copied to
from celery import Celery
from celery.utils.nodenames import anon_nodename

_their_app, _their_worker = testing_app.TestApp, testing_worker.start_worker
_their_config: Any = Celery.config_from_object


def _app(name: Any = None, config: Any = None, **more: Any) -> Any:
    given = {**(config or {}), **suite_app.our_settings()}
    return suite_app.make_ours(_their_app(name, given, **more))


def _config_from_object(app: Any, *args: Any, **more: Any) -> Any:
    """Of an app that a test makes for Django's settings: a project writes `tasks.install(app)` below that line."""
    found = _their_config(app, *args, **more)
    suite_app.make_ours(app)
    return found


@contextlib.contextmanager
def _in_a_process(app: Any, **_: Any) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "-A", "suite_app", "worker", "-c", "1", "-l", "info"]
    command += ["-n", anon_nodename()]  # the suite asks for this one, as its own worker is a thread of this process
    with open(os.environ["WORKER_LOG"], "ab") as log:
        worker = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 30
    while not app.control.ping(timeout=1):
        assert worker.poll() is None and time.monotonic() < until, "the worker did not start"
    try:
        yield None
    finally:
        worker.terminate()
        try:
            worker.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, 9)


_their_modules: Any = (testing_app, testing_worker)
if os.environ.get("STOCK") != "1":
    _their_modules[0].TestApp = _app
    Celery.config_from_object = _config_from_object  # type: ignore[assignment, method-assign]
if os.environ.get("WORKER") == "process":
    _their_modules[1].start_worker = _in_a_process


#: Seconds that each further subtest has of a test that is over its bound.
FURTHER = 5


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool:
    """The bound is of the test, not of the one subtest of it that is interrupted: those go on after any failure."""

    def late(*_: Any) -> None:
        pytest.fail(f"{item.name} takes longer than {settings.timeout} s")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, FURTHER)
    return True


def pytest_timeout_cancel_timer(item: pytest.Item) -> bool:
    """The test is over."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The suite's own bound of five minutes a test is too patient."""
    for item in items:
        item.add_marker(pytest.mark.timeout(int(os.environ.get("CAP", "60"))), append=False)
