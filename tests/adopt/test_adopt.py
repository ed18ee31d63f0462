"""docs/ADOPT.md, done literally in fresh projects; each ends with a real worker and a bar that moves."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
import time
import zipfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from django_starter.processes.ports import free_port
from django_starter.processes.valkey import answers_ping
from tests.live.process import Process
from tests.live.visitor import Visitor
from tests.waiting import wait_until

from .conftest import environment, run
from .document import ROOT, Block, commands, follow, section, template_of

#: Celery's own layout, as its documentation has it.
CELERY = """import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
"""
INIT = """from .celery import app as celery_app

__all__ = ("celery_app",)
"""
TASKS = """import time

from celery import shared_task
from celery_progress.backend import ProgressRecorder


@shared_task
def tracked(count):
    import progress

    for number in progress.track(range(count), unit="orders"):
        time.sleep(0.02)
    return count


@shared_task(bind=True)
def updating(self, count):
    for number in range(count):
        time.sleep(0.02)
        self.update_state(state="PROGRESS", meta={"current": number, "total": count})
    return count


@shared_task(bind=True)
def recorded(self, count):
    recorder = ProgressRecorder(self)
    for number in range(count):
        time.sleep(0.02)
        recorder.set_progress(number, count, "on it")
    return count


@shared_task(bind=True, max_retries=1)
def trying_again(self, count):
    if not self.request.retries:
        raise self.retry(countdown=0)
    return tracked.run(count)


@shared_task
def failing(count):
    tracked.run(count)
    raise ValueError("no more orders")
"""
VIEWS = """from django.shortcuts import render

from . import tasks


def start(request, name):
    result = getattr(tasks, name).delay(150)
    return render(request, "orders/import.html", {"task_id": result.id})
"""
URLS = """
from orders.views import start

urlpatterns += [path("import/<str:name>/", start)]
"""
#: Of a project that has its own result backend already.
OWN_BACKEND = """
INSTALLED_APPS += ["orders"]
CELERY_BROKER_URL = "{redis}"
"""

#: Each task, and how it ends.
JOBS = {"tracked": "SUCCESS", "updating": "SUCCESS", "recorded": "SUCCESS", "trying_again": "SUCCESS"}
SIZES = {"runs": "Progress and runs", "only": "Progress only", "named": "Where a name is taken"}
#: A size, and what the project's own app is called. The wheel's `tasks` is then hidden by the project's; "named" has
#: PyPI's `progress` beside ours, too.
PROJECTS = [("runs", "orders"), ("only", "orders"), ("only", "tasks"), ("named", "tasks")]
#: The row of README for each that has nothing unusual.
ROWS = {("runs", "orders"): "progress and runs", ("only", "orders"): "progress only"}


@dataclass
class Project:
    """A project `shop`, as its owner has it before anything of ours is in it."""

    folder: Path
    env: dict[str, str]
    redis: str
    app: str = "orders"
    imports: str = "import progress"
    processes: list[Process] = field(default_factory=list)
    python: str = sys.executable
    #: When its owner began, with the installation.
    began: float = 0.0

    def manage(self, *command: str) -> str:
        return run([self.python, *command], self.folder, self.env)

    def minutes(self) -> str:
        """For README: what the steps take when nobody has to type."""
        return f"{(time.monotonic() - self.began) / 60:.1f}"

    def create(self, template: str, settings: str) -> None:
        self.folder.mkdir()
        self.manage("-m", "django", "startproject", "shop", ".")
        # As before ours was installed: `startapp` refuses a name that can be imported.
        run([self.python, "manage.py", "startapp", self.app], self.folder, {**self.env, "PYTHONPATH": ""})
        for name, text in {
            "shop/celery.py": CELERY,
            "shop/__init__.py": INIT,
            "orders/tasks.py": TASKS,
            "orders/views.py": VIEWS,
            "orders/templates/orders/import.html": template,
        }.items():
            path = self.folder / name.replace("orders/", f"{self.app}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.named(text))
        for name, text in {"shop/settings.py": settings, "shop/urls.py": URLS}.items():
            (self.folder / name).write_text((self.folder / name).read_text() + self.named(text))

    def named(self, text: str) -> str:
        for before in ('["{}"]', '"{}/import.html"', "from {}."):
            text = text.replace(before.format("orders"), before.format(self.app))
        return text.replace("    import progress\n", f"    {self.imports}\n")

    def start(self, guard) -> Visitor:
        port = free_port()
        web = [self.python, "manage.py", "runserver", "--noreload", str(port)]
        worker = [self.python, "-m", "celery", "-A", "shop", "worker", "-l", "info", "--concurrency", "2"]
        for name, command in (("web", web), ("worker", worker)):
            log = self.folder / f"{name}.log"
            ready = partial(is_open, port) if name == "web" else partial(says, log, " ready.")
            process = Process(name, command, cwd=self.folder, env=self.env, log_path=log, guard=guard, ready=ready)
            self.processes.append(process)
            process.start()
        return Visitor(f"http://127.0.0.1:{port}")

    def stop(self) -> None:
        while self.processes:
            process = self.processes.pop()
            process.kill()
            process.log_path.unlink()


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def says(log: Path, words: str) -> bool:
    return words in log.read_text()


def own_settings(size: str, redis: str) -> str:
    text = OWN_BACKEND.format(redis=redis)
    return text + f'CELERY_RESULT_BACKEND = "{redis}"\n' if size == "only" else text


@pytest.fixture(scope="module", params=PROJECTS, ids="-".join)
def kind(request) -> tuple[str, str]:
    """A size, and the name of the project's own app."""
    return request.param


@pytest.fixture(scope="module")
def size(kind) -> str:
    return kind[0]


@pytest.fixture(scope="module")
def steps(size) -> list[Block]:
    return section(SIZES[size])


@pytest.fixture(scope="module")
def project(kind, size, steps, request, guard, valkey_server, tmp_path_factory):
    """A fresh project, after the steps; where it has nothing unusual, with no packages but those that it needs."""
    assert answers_ping(valkey_server)
    where = tmp_path_factory.mktemp(size) / "shop"
    took = 0.0
    if kind in ROWS:
        new = request.getfixturevalue("installed")
        found, took = Project(where, environment(""), valkey_server, python=new.python), new.took
    else:
        site = request.getfixturevalue("namespaced_site" if size == "named" else "site")
        found = Project(where, environment(site), valkey_server, kind[1])
    if size == "named":
        found.imports = "from django_starter_tasks import progress"
    found.create(template_of(steps), own_settings(size, valkey_server))
    found.began = time.monotonic() - took
    files, lines = follow(steps, found.folder, valkey_server)
    said = f"In all {len(files)} file{'s' if len(files) > 1 else ''} and {lines} lines, and one in a template."
    assert said in (ROOT / "docs/ADOPT.md").read_text(), said
    for command in commands(steps) or ["python manage.py migrate", "python manage.py check"]:
        found.manage(*command.split()[1:])
    yield found
    found.stop()


@pytest.fixture(scope="module")
def alice(project, guard):
    visitor = project.start(guard)
    yield visitor
    visitor.close()


def start(visitor: Visitor, name: str) -> str:
    page = visitor.get(f"/import/{name}/")
    assert page.status == 200, page.text[:2000]
    found = re.search(r'<task-progress task-id="([^"]+)"', page.text)
    assert found, page.text
    assert "There is no such task" not in page.text
    return found[1]


@pytest.mark.parametrize("name", JOBS)
def test_the_bar_moves_to_its_end(alice, project, kind, name):
    task_id = start(alice, name)
    watcher = alice.watch(task_id)
    watcher.wait_final(30)
    if name == "tracked" and kind in ROWS:
        print(f"README: {ROWS[kind]}: {project.minutes()} minutes from step 1 to the end of the first bar")
    assert watcher.state == JOBS[name], watcher.task
    said = [frame.get("percent") for frame in watcher.of_type("update") if frame["state"] == "STARTED"]
    between = sorted({percent for percent in said if percent is not None and 0 < percent < 100})
    assert len(between) > 3, said
    assert said == sorted(said, key=lambda percent: percent or 0)
    assert watcher.wait_closed() == 1000
    assert alice.get(f"/api/tasks/{task_id}/").json()["task"]["result"] == 150


def test_a_failure_is_told(alice):
    watcher = alice.watch(start(alice, "failing"))
    watcher.wait_final(30)
    assert watcher.state == "FAILURE"
    assert watcher.task["error"] == {"type": "ValueError", "message": "no more orders"}


def test_a_stranger_sees_nothing(alice):
    task_id = start(alice, "tracked")
    bob = Visitor(alice.base_url, "bob")
    assert bob.watch(task_id).wait_closed() == 4404
    assert bob.get(f"/api/tasks/{task_id}/").status == 404
    assert alice.get(f"/api/tasks/{task_id}/").status == 200


def test_who_comes_late_sees_the_end(alice):
    task_id = start(alice, "tracked")
    wait_until(lambda: alice.get(f"/api/tasks/{task_id}/").json()["task"]["state"] == "SUCCESS", 30)
    watcher = alice.watch(task_id)
    assert watcher.wait_snapshot()["task"]["state"] == "SUCCESS"
    assert watcher.wait_closed() == 1000


def test_a_taken_name_stays_whose_it_is(project, size):
    if size == "named":
        said = project.manage("-c", "import tasks, progress.bar; print(tasks.__file__, progress.bar.Bar)")
        assert str(project.folder / "tasks") in said and "of PyPI" in said
        applied = project.manage("manage.py", "showmigrations", "django_starter_tasks")
        assert "[X] 0001_initial" in applied and "[ ]" not in applied


def test_the_wheel_has_what_is_needed_and_nothing_of_the_site(wheel):
    with zipfile.ZipFile(wheel) as held:
        names = held.namelist()
    for name in (
        "progress/py.typed",
        "tasks/py.typed",
        "tasks/migrations/0001_initial.py",
        "tasks/templates/tasks/run.html",
    ):
        assert name in names
    assert any(name.startswith("progress/static/progress/") for name in names)
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"progress", "tasks"}
    assert not [name for name in names if name.startswith("tasks/downloads")]


@pytest.mark.parametrize("kind", ROWS, ids="-".join)
def test_readme_has_the_same_steps_and_counts(kind, tmp_path):
    size = kind[0]
    readme = (ROOT / "README.md").read_text()
    for name in ("settings", "celery"):
        (tmp_path / "shop").mkdir(exist_ok=True)
        (tmp_path / "shop" / f"{name}.py").touch()
    files, lines = follow(section(SIZES[size]), tmp_path, "redis://x")
    assert re.search(rf"^\| {ROWS[kind]} \| \d\.\d \| {len(files)} \| {lines} \| 1 line \|", readme, re.MULTILINE)
    if size == "runs":
        for block in section(SIZES[size]):
            if block.language == "python":
                indented = "".join(f"   {line}".rstrip() + "\n" for line in block.text.splitlines())
                assert indented in readme
            elif block.language == "html":
                assert block.text.strip() in readme


#: A line of the document that a person forgets, and what `check` then says.
FORGOTTEN = {
    "runs": [
        ("MIDDLEWARE +=", "tasks.E016"),
        ("ASGI_APPLICATION", "progress.E010"),
        ("PROGRESS =", "progress.E005"),
        ("tasks.install", "tasks.E011"),
    ],
    "only": [
        ("MIDDLEWARE +=", "progress.E011"),
        ("ASGI_APPLICATION", "progress.E010"),
        ("PROGRESS =", "progress.E005"),
    ],
}


@pytest.mark.parametrize("size", FORGOTTEN)
def test_each_line_that_is_forgotten_is_named(size, site, tmp_path, valkey_server):
    steps = section(SIZES[size])
    for at, (line, number) in enumerate(FORGOTTEN[size]):
        shop = Project(tmp_path / str(at), environment(site), valkey_server)
        shop.create(template_of(steps), own_settings(size, valkey_server))
        without = [
            Block(one.language, "\n".join(row for row in one.text.splitlines() if not row.startswith(line)), one.file)
            for one in steps
        ]
        follow(without, shop.folder, valkey_server)
        with pytest.raises(AssertionError, match=re.escape(number)):
            shop.manage("manage.py", "check")


def test_a_result_backend_that_is_left_is_named_by_check_and_by_the_worker(site, tmp_path, valkey_server):
    steps = section(SIZES["runs"])
    shop = Project(tmp_path / "shop", environment(site), valkey_server)
    shop.create(template_of(steps), own_settings("only", valkey_server))
    follow(steps, shop.folder, valkey_server)
    for command in (["manage.py", "check"], ["-m", "celery", "-A", "shop", "worker", "--pool", "solo"]):
        with pytest.raises(AssertionError, match=r"tasks\.E013"):
            shop.manage(*command)
