"""A small project with celery-progress, and its way over as docs/ADOPT.md describes it: two files, and a live bar."""

from __future__ import annotations

import difflib
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tests.live.visitor import Visitor
from tests.waiting import wait_until

from .conftest import environment
from .document import ROOT, Block, section
from .test_adopt import OWN_BACKEND, Project, start

TASKS = """import time

from celery import shared_task
from celery_progress.backend import ProgressRecorder


@shared_task(bind=True)
def recorded(self, count):
    recorder = ProgressRecorder(self)
    for number in range(count):
        time.sleep(0.02)
        recorder.set_progress(number, count, "on it")
    return count
"""
VIEWS = """from django.shortcuts import render

from . import tasks


def start(request, name):
    result = getattr(tasks, name).delay(150)
    return render(request, "orders/import.html", {"task_id": result.task_id})
"""
URLS = """
from django.urls import include

from orders.views import start

urlpatterns += [
    path("import/<str:name>/", start),
    path("celery-progress/", include("celery_progress.urls")),
]
"""
#: Its page, as celery-progress describes one: a bar, and a script that polls.
BEFORE = """{% load static %}<h1>Your import</h1>
<div class="progress-wrapper"><div id="progress-bar" class="progress-bar" style="width: 0%">&nbsp;</div></div>
<div id="progress-bar-message">Waiting for progress to start...</div>
<script src="{% static 'celery_progress/celery_progress.js' %}"></script>
<script>CeleryProgressBar.initProgressBar("{% url 'celery_progress:task_status' task_id %}")</script>
"""
SETTINGS = (
    OWN_BACKEND
    + """CELERY_RESULT_BACKEND = "{redis}"
INSTALLED_APPS += ["celery_progress"]
"""
)


def test_readme_counts_what_celery_progress_itself_took():
    words = ("celery_progress", "CELERY_RESULT_BACKEND", "ProgressRecorder", "recorder.", "import include")
    took = {
        name: sum(any(word in line for word in words) for line in text.splitlines())
        for name, text in {"settings": SETTINGS, "urls": URLS, "tasks": TASKS}.items()
    }
    template = len(BEFORE.splitlines()) - 1
    row = rf"^\| celery-progress, polling \| \d\.\d \| {len(took)} \| {sum(took.values())} \| {template} lines \|"
    assert re.search(row, (ROOT / "README.md").read_text(), re.MULTILINE), row


def texts(folder: Path) -> dict[str, list[str]]:
    found = (path for path in folder.rglob("*") if path.suffix in (".py", ".html"))
    return {str(path.relative_to(folder)): path.read_text().splitlines() for path in found}


@pytest.fixture(scope="module")
def steps() -> list[Block]:
    return section("From celery-progress")


@pytest.fixture(scope="module")
def old(installed, valkey_server, tmp_path_factory):
    """The project as it is before."""
    found = Project(tmp_path_factory.mktemp("over") / "shop", environment(""), valkey_server, python=installed.python)
    found.began = time.monotonic() - installed.peer_took
    found.create(BEFORE, SETTINGS.format(redis=valkey_server))
    for name, text in {"orders/tasks.py": TASKS, "orders/views.py": VIEWS}.items():
        (found.folder / name).write_text(text)
    urls = found.folder / "shop" / "urls.py"
    urls.write_text(urls.read_text().partition("\nfrom orders")[0] + URLS)
    for command in ("migrate", "check"):
        found.manage("manage.py", command)
    yield found
    found.stop()


def polled(visitor: Visitor, task_id: str) -> dict[str, Any]:
    """What celery-progress' address answers, as its script asks it."""
    found: dict[str, Any] = visitor.get(f"/celery-progress/{task_id}/").json()
    return found


@pytest.fixture(scope="module")
def polled_before(old, guard) -> set[int]:
    """The percents that its bar had, which polls."""
    alice = old.start(guard)
    found = re.search(r"/celery-progress/([^/]+)/", alice.get("/import/recorded/").text)
    assert found
    task_id, seen = found[1], set()

    def complete() -> bool:
        now = polled(alice, task_id)
        seen.add(now["progress"]["percent"])
        return bool(now["complete"])

    wait_until(complete, 60)
    print(
        f"README: celery-progress, polling: {old.minutes()} minutes from its installation to the end of the first bar"
    )
    alice.close()
    old.stop()
    return seen


def test_before_its_bar_polls(polled_before):
    assert len(polled_before) > 3


@pytest.fixture(scope="module")
def project(old, polled_before, installed, steps, valkey_server) -> Project:
    """The same after the steps."""
    before = texts(old.folder)
    old.began = time.monotonic() - installed.took
    for block in steps:
        if block.language == "python":
            path = old.folder / block.file
            text = block.text.replace("redis://127.0.0.1:6379/0", valkey_server)
            path.write_text(f"{path.read_text()}\n{text}")
        elif block.language == "html":
            (old.folder / "orders/templates/orders/import.html").write_text(f"{BEFORE.splitlines()[0]}\n{block.text}")
    after = texts(old.folder)
    changed = {name: list(difflib.ndiff(before[name], text)) for name, text in after.items() if text != before[name]}
    written = sum(line.startswith("+ ") and bool(line[2:].strip()) for lines in changed.values() for line in lines)
    taken = sum(line.startswith("- ") for lines in changed.values() for line in lines)
    assert set(changed) == {"shop/settings.py", "orders/templates/orders/import.html"}
    assert written + taken <= 12
    said = f"{len(changed)} files: {written} lines are written, {taken} go."
    assert said in " ".join((ROOT / "docs/ADOPT.md").read_text().split()), said
    row = rf"^\| from celery-progress to progress \| \d\.\d \| 1 \| {written - 1} \| 1 line for {taken} \|"
    assert re.search(row, (ROOT / "README.md").read_text(), re.MULTILINE), row
    for command in ("migrate", "check"):
        old.manage("manage.py", command)
    return old


def test_its_task_moves_a_live_bar_and_its_old_address_still_answers(project, guard):
    alice = project.start(guard)
    task_id = start(alice, "recorded")
    watcher = alice.watch(task_id)
    watcher.wait_final(30)
    print(f"README: from celery-progress: {project.minutes()} minutes from step 1 to the end of the first bar")
    assert watcher.state == "SUCCESS", watcher.task
    said = [frame.get("percent") for frame in watcher.of_type("update") if frame["state"] == "STARTED"]
    assert len({percent for percent in said if percent}) > 3, said
    now = polled(alice, task_id)
    assert (now["complete"], now["success"], now["result"]) == (True, True, 150)
    alice.close()
