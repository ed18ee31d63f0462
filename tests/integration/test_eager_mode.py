"""`task_always_eager` and `task.apply()`: the body runs at once, as Celery does it, with neither tables nor Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: The same program over Celery alone, and over this project.
PLAIN = """
import progress
from celery import Celery
app = Celery("plain", set_as_current=True)
"""
OURS = """
import django
django.setup()
from django_starter.celery import app
import progress
"""
PROGRAM = """
from celery import chain, chord, group, shared_task
app.conf.task_always_eager = {always}
calls = []

@shared_task
def add(one, two): return one + two
@shared_task
def total(values): return sum(values)
@shared_task
def fail(*_): raise ValueError("no luck")
@shared_task
def note(*args): calls.append("noted")
@shared_task(bind=True, max_retries=3)
def stubborn(self):
    calls.append(self.request.retries)
    if self.request.retries < 2: raise self.retry(countdown=0)
    return "done"
@shared_task(bind=True)
def replaced(self): raise self.replace(add.s(1, 2))
@shared_task(bind=True)
def teller(self):
    progress.set(1, total=2, message="half")
    for _ in progress.track(range(2), total=2): pass
    if {ours}: self.update_state(state="PROGRESS", meta={{"current": 1}})  # Celery alone has no backend here
    return self.request.is_eager
@shared_task
def parent(): return add.delay(1, 2).get(disable_sync_subtasks=False) if {always} else 3
@shared_task
def ignoring():
    from celery.exceptions import Ignore
    raise Ignore()

def show(name, call):
    try:
        print(name, call(), calls)
    except Exception as error:
        print(name, type(error).__name__, error, calls)
    calls.clear()

start = (lambda sig: sig.apply_async()) if {always} else (lambda sig: sig.apply())
show("one", lambda: (lambda r: (r.get(), r.state, r.successful()))(start(add.s(1, 2))))
show("failing", lambda: (lambda r: (r.state, r.get(propagate=False)))(start(fail.s())))
if {always}:  # callbacks of `apply()` are real starts
    show("link", lambda: start(add.s(1, 2).set(link=note.s())).get())
    show("errback", lambda: start(fail.s().set(link_error=note.s())).state)
show("chain", lambda: start(chain(add.s(1, 2), add.s(10), add.s(100))).get())
show("broken chain", lambda: start(chain(add.s(1, 2), fail.s(), note.s())).state)
show("group", lambda: start(group(add.s(1, 2), add.s(3, 4))).get())
show("chord", lambda: start(chord([add.s(1, 2), add.s(3, 4)], total.s())).get())
show("broken chord", lambda: start(chord([add.s(1, 2), fail.s()], note.s())).state)
show("retry", lambda: start(stubborn.s()).get())
show("replace", lambda: start(replaced.s()).get())
show("teller", lambda: start(teller.s()).get())
show("parent", lambda: start(parent.s()).get())
show("ignore", lambda: start(ignoring.s()).state)
show("map", lambda: start(add.starmap([(1, 2), (3, 4)])).get())
show("chunks", lambda: start(add.chunks([(1, 2), (3, 4)], 1).group()).get())
show("wrong arguments", lambda: start(add.s(1)).get())
show("direct", lambda: add(1, 2))
"""


def run(prelude, *, always, env):
    program = prelude + PROGRAM.format(always=always, ours=prelude is OURS)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "ENV_FILE") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=kept | env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("always", [True, False], ids=["task_always_eager", "apply"])
def test_what_celery_does_at_once_is_done_at_once(always, tmp_path):
    env = {"DEV_DIR": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1/0"}
    env["DJANGO_SETTINGS_MODULE"] = "django_starter.settings"
    began = time.monotonic()
    ours = run(OURS, always=always, env=env)
    took = time.monotonic() - began
    assert ours == run(PLAIN, always=always, env=env)
    assert took < 15, "somebody waited for a database"
