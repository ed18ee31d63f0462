"""A small project with celery-progress, and its way over as docs/ADOPT.md describes it: two files, and a live bar."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from .conftest import environment
from .document import ROOT, Block, section
from .test_adopt import CELERY, INIT, OWN_BACKEND, Project, start

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
    row = f"| celery-progress, polling | {len(took)} | {sum(took.values())} | {template} lines |"
    assert row in (ROOT / "README.md").read_text(), row


def texts(folder: Path) -> dict[str, list[str]]:
    found = (path for path in folder.rglob("*") if path.suffix in (".py", ".html"))
    return {str(path.relative_to(folder)): path.read_text().splitlines() for path in found}


@pytest.fixture(scope="module")
def steps() -> list[Block]:
    return section("From celery-progress")


@pytest.fixture(scope="module")
def project(steps, site, valkey_server, tmp_path_factory):
    found = Project(tmp_path_factory.mktemp("over") / "shop", environment(site), valkey_server)
    found.create(BEFORE, SETTINGS.format(redis=valkey_server))
    for name, text in {
        "shop/celery.py": CELERY,
        "shop/__init__.py": INIT,
        "orders/tasks.py": TASKS,
        "orders/views.py": VIEWS,
    }.items():
        (found.folder / name).write_text(text)
    urls = found.folder / "shop" / "urls.py"
    urls.write_text(urls.read_text().partition("\nfrom orders")[0] + URLS)
    found.manage("manage.py", "check")
    before = texts(found.folder)
    for block in steps:
        if block.language == "python":
            path = found.folder / block.file
            text = block.text.replace("redis://127.0.0.1:6379/0", valkey_server)
            path.write_text(f"{path.read_text()}\n{text}")
        elif block.language == "html":
            (found.folder / "orders/templates/orders/import.html").write_text(f"{BEFORE.splitlines()[0]}\n{block.text}")
    after = texts(found.folder)
    changed = {name: list(difflib.ndiff(before[name], text)) for name, text in after.items() if text != before[name]}
    written = sum(line.startswith("+ ") and bool(line[2:].strip()) for lines in changed.values() for line in lines)
    taken = sum(line.startswith("- ") for lines in changed.values() for line in lines)
    assert set(changed) == {"shop/settings.py", "orders/templates/orders/import.html"}
    assert written + taken <= 12
    said = f"{len(changed)} files: {written} lines are written, {taken} go."
    assert said in " ".join((ROOT / "docs/ADOPT.md").read_text().split()), said
    for command in ("migrate", "check"):
        found.manage("manage.py", command)
    yield found
    found.stop()


def test_its_task_moves_a_live_bar_and_its_old_address_still_answers(project, guard):
    alice = project.start(guard)
    task_id = start(alice, "recorded")
    watcher = alice.watch(task_id)
    watcher.wait_final(30)
    assert watcher.state == "SUCCESS", watcher.task
    said = [frame.get("percent") for frame in watcher.of_type("update") if frame["state"] == "STARTED"]
    assert len({percent for percent in said if percent}) > 3, said
    polled = alice.get(f"/celery-progress/{task_id}/").json()
    assert (polled["complete"], polled["success"], polled["result"]) == (True, True, 150)
    alice.close()
