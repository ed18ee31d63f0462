"""`manage.py doctor`: on a healthy system all is ok; of a broken one it names the fault and what puts it right."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from celery import Celery

from django_starter.processes.ports import free_port
from progress.redis import make_client
from tasks.runs import beats
from tests.waiting import wait_until

from .conftest import end
from .process import Process
from .stack import ROOT, Stack
from .visitor import Visitor

PASSWORD = "only-for-this-test"
#: Calls the doctor, and says whether the database holds as much as before.
CALL_AND_COUNT = """
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from tasks.models import TaskRun

def held():
    sessions = Session.objects.exclude(session_key="written-by-health-ready")  # the web server's, one for ever
    return [rows.count() for rows in (User.objects, sessions, TaskRun.objects)]

before = held()
call_command("doctor")
print("as before" if held() == before else f"{before} became {held()}")
"""


@dataclass(frozen=True)
class Report:
    """What one call of the doctor said."""

    code: int
    checks: dict[str, dict[str, Any]]

    def named(self, kind: str) -> set[str]:
        return {name for name, check in self.checks.items() if check["status"] == kind}

    def says(self, name: str, detail: str, hint: str) -> None:
        """The fault is named, and the line that puts it right."""
        assert detail in self.checks[name]["detail"]
        assert hint in self.checks[name]["hint"]


#: An end is told that is not the one which was recorded.
TELL_ANOTHER_END = """
from datetime import timedelta
from django.utils import timezone
from progress.record import get_record
from tasks.models import TaskRun
from tasks.runs.state import changing

at = timezone.now() - timedelta(minutes=1)
run = TaskRun(name="planted", queue="celery", state="FAILURE", attempt=1, accepted_at=at, finished_at=at)
run.save()
get_record().tell(run.pk, {**changing(run), "state": "SUCCESS"}, final=True)
print(run.pk)
"""


class System:
    """A whole system with Flower, and a doctor for it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        stack.env |= {"PORT": str(stack.port), "FLOWER_PORT": str(free_port()), "FLOWER_PASSWORD": PASSWORD}
        stack.env.pop("BROKER_URL", None)  # what is said of a Redis is tested here
        command = [sys.executable, "-m", "django_starter.serve.flower"]
        self.flower = Process("flower", command, cwd=ROOT, ready=self._flower_answers, **stack._process("flower"))
        stack.processes.append(self.flower)

    def open(self) -> System:
        self.flower.start(wait=False)
        self.stack.start(concurrency=1)
        self.flower.wait_ready()
        self.recover()
        return self

    def _flower_answers(self) -> bool:
        visitor = Visitor(f"http://127.0.0.1:{self.stack.env['FLOWER_PORT']}")
        try:
            return visitor.get("/healthcheck").status == 200
        except OSError:
            return False
        finally:
            visitor.close()

    def workers_seen(self) -> int:
        """How many workers beat, as the web server sees it."""
        return int(self.stack.get("/api/status/").json()["workers"].get("count", 0))

    def recover(self) -> None:
        """Until a worker beats and a task comes back."""
        wait_until(lambda: self.workers_seen() == 1, 30)
        self.stack.wait_state(self.stack.start_job("echo"), "SUCCESS")

    def serve(self, queue: str, *, instead_of: str) -> None:
        """Tell the worker to take from another queue, and wait until its beat says so."""
        with Celery("operator", broker=self.stack.valkey.url, set_as_current=False) as operator:
            operator.conf.broker_transport_options = {"global_keyprefix": "django_starter:"}
            operator.control.add_consumer(queue, destination=["w1@test"])
            operator.control.cancel_consumer(instead_of, destination=["w1@test"])
        with make_client(self.stack.valkey.url) as client:
            wait_until(lambda: [worker.queues for worker in beats.look(client)] == [[queue]], 20)

    def check(self, *arguments: str, **env: str) -> Report:
        """Call the doctor in the stack's environment, with what is changed in `env`."""
        command = [sys.executable, "manage.py", "doctor", "--json", *arguments]
        env = {**self.stack.env, "PYTHONWARNINGS": "", **env}  # as a person calls it
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
        assert done.stderr == ""
        told = json.loads(done.stdout)
        assert told["status"] == ("failed" if done.returncode else "ok")
        return Report(done.returncode, {check["name"]: check for check in told["checks"]})


@pytest.fixture(scope="module")
def system(make_stack) -> Iterator[System]:
    """One for all tests: each breaks it and puts it right again."""
    stack = make_stack()
    try:
        yield System(stack).open()
    finally:
        end(stack)


def test_all_is_ok_and_nothing_is_left_behind(system):
    *lines, total, left = system.stack.shell(CALL_AND_COUNT).splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * 21
    assert (total, left) == ("21 ok", "as before")
    assert "\x1b" not in "".join(lines)  # colours are for terminals

    report = system.check()
    assert report.code == 0
    for check in report.checks.values():
        assert set(check) == {"name", "status", "detail", "hint", "milliseconds"}
        assert (check["status"], check["hint"]) == ("ok", "")
    assert report.named("ok") == {line.split()[1] for line in lines}
    for name in ("database", "broker", "channels", "canary", "web", "socket", "flower"):
        assert report.checks[name]["milliseconds"] is not None  # SQLite may answer in 0.0
    assert "append-only file" in report.checks["persistence"]["detail"]
    assert "w1@test (celery; beat" in report.checks["workers"]["detail"]
    assert "SUCCESS" in report.checks["socket"]["detail"]


def test_no_worker(system):
    worker = system.stack.workers["w1"]
    worker.pause()
    try:
        wait_until(lambda: system.workers_seen() == 0, 30)
        report = system.check()
    finally:
        worker.resume()
        system.recover()
    assert (report.code, report.named("failed")) == (1, {"workers"})
    report.says("workers", "No worker is running", "celery -A django_starter worker -l info")
    assert report.named("skipped") == {"canary"}
    assert "PENDING" in report.checks["socket"]["detail"]


def test_a_worker_that_serves_another_queue(system):
    system.serve("other", instead_of="celery")
    try:
        report = system.check()
    finally:
        system.serve("celery", instead_of="other")
        system.recover()
    assert (report.code, report.named("failed")) == (1, {"workers"})
    report.says("workers", "Nobody serves the queue celery, only w1@test (other;", "worker -l info")
    assert report.checks["canary"]["detail"] == "no worker serves the queue celery"


def test_a_page_that_shows_another_end_than_the_database(system):
    task_id = system.stack.shell(TELL_ANOTHER_END).strip()
    try:
        report = system.check()
    finally:
        system.stack.shell(f"from tasks.models import TaskRun; TaskRun.objects.filter(pk={task_id!r}).delete()")
    assert (report.code, report.named("failed")) == (1, {"invariants"})
    report.says("invariants", f"told: SUCCESS was told, but FAILURE is recorded. ({task_id!r})", "tail services:worker")
    assert system.check().checks["invariants"]["detail"] == "9 rules hold of all runs"


def test_a_broker_that_is_away(system):
    valkey = system.stack.valkey
    valkey.kill()
    try:
        report = system.check()
    finally:
        valkey.start()
        system.recover()
    assert (report.code, report.named("failed")) == (1, {"broker"})
    report.says("broker", "does not answer: Error 111", f"redis-server --port {valkey.port} --appendonly yes")
    below = {"redis", "persistence", "channels", "clocks", "workers", "canary", "invariants"}
    assert report.named("skipped") == {"eviction", *below}
    assert {report.checks[name]["detail"] for name in below} == {"the broker does not answer"}


def test_a_broker_that_hangs_holds_up_nothing(system):
    valkey = system.stack.valkey
    valkey.pause()
    try:
        report = system.check()
    finally:
        valkey.resume()
        system.recover()
    assert (report.code, report.named("failed")) == (1, {"broker"})
    report.says("broker", "does not answer: Timeout", f"lsof -nP -iTCP:{valkey.port} -sTCP:LISTEN")
    assert {"database", "web", "socket", "flower"} <= report.named("ok")


def test_a_broker_that_throws_tasks_away_when_it_is_full(system):
    system.stack.valkey.config_set("maxmemory-policy", "allkeys-lru")
    try:
        report = system.check()
    finally:
        system.stack.valkey.config_set("maxmemory-policy", "noeviction")
    assert (report.code, report.named("failed")) == (1, {"eviction"})
    hint = f"redis-cli -u {system.stack.valkey.url} config set maxmemory-policy noeviction"
    report.says("eviction", "allkeys-lru", hint)


def test_a_broker_that_forgets_at_a_restart_is_a_warning(system):
    system.stack.valkey.config_set("appendonly", "no")
    try:
        report = system.check()
    finally:
        system.stack.valkey.config_set("appendonly", "yes")
    assert (report.code, report.named("warning")) == (0, {"persistence"})
    hint = f"redis-cli -u {system.stack.valkey.url} config set appendonly yes"
    report.says("persistence", "no append-only file", hint)


def test_a_database_that_is_away(system):
    port = free_port()
    report = system.check(DATABASE_URL=f"postgres://us:secret@127.0.0.1:{port}/tasks")
    assert (report.code, report.named("failed")) == (1, {"database"})
    report.says("database", "PostgreSQL at 127.0.0.1 does not answer: connection failed", "python manage.py dbshell")
    assert "secret" not in json.dumps(report.checks)
    assert report.named("skipped") == {"migrations", "canary", "schedules", "invariants", "socket"}


def test_migrations_that_are_not_applied(system, tmp_path):
    report = system.check(DATABASE_URL=f"sqlite:///{tmp_path / 'empty.sqlite3'}")
    assert (report.code, report.named("failed")) == (1, {"migrations"})
    report.says("migrations", "Not applied: contenttypes.0001_initial and", "python manage.py migrate")
    assert report.checks["socket"]["detail"] == "the database has not all its tables"


def test_a_web_server_with_another_secret_key(system):
    report = system.check(SECRET_KEY="of another machine, as long as Django wants it to be: 0123456789")
    assert (report.code, report.named("failed")) == (1, {"socket"})
    report.says("socket", "another DATABASE_URL or SECRET_KEY", "supervisord.conf restart services:web")


def test_a_web_server_with_another_database(system, tmp_path):
    url = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    if system.stack.template:
        shutil.copy(system.stack.template, tmp_path / "other.sqlite3")
    else:  # the stack's own is PostgreSQL
        migrate = [sys.executable, "manage.py", "migrate", "-v", "0"]
        subprocess.run(migrate, cwd=ROOT, env={**system.stack.env, "DATABASE_URL": url}, check=True, timeout=60)
    report = system.check("--skip", "canary", DATABASE_URL=url)  # which the workers would not find there, either
    assert (report.code, report.named("failed"), report.named("skipped")) == (1, {"socket"}, {"canary"})
    report.says("socket", "another DATABASE_URL or SECRET_KEY", "supervisord.conf restart services:web")


def test_no_web_server_and_no_flower(system):
    port, flower_port = str(free_port()), str(free_port())
    report = system.check(PORT=port, FLOWER_PORT=flower_port)
    assert (report.code, report.named("failed")) == (1, {"web", "flower"})
    report.says("web", f"Nobody answers at http://127.0.0.1:{port}", "./start_dev.sh")
    report.says("flower", "Nobody answers", f"flower --address=127.0.0.1 --port={flower_port}")
    assert report.checks["ports"]["detail"] == f"{port} free, {flower_port} free"


def test_a_port_that_another_program_has(system):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:  # answers 501 to everything
        threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
        port = other.server_port
        report = system.check(PORT=str(port))
        other.shutdown()
    assert (report.code, report.named("failed")) == (1, {"ports", "web"})
    report.says("ports", f"Port {port} is taken by another program", f"lsof -nP -iTCP:{port} -sTCP:LISTEN")
    report.says("web", "answers another program, with 501", "./start_dev.sh")


def test_a_password_that_is_not_flowers(system):
    report = system.check(FLOWER_PASSWORD="another")
    assert (report.code, report.named("failed")) == (1, {"flower"})
    report.says("flower", "refuses the password in FLOWER_PASSWORD", "supervisord.conf restart services:flower")


def test_a_checkout_with_other_packages_and_settings_that_cannot_work(system, tmp_path):
    (tmp_path / "channels_redis-4.4.0.dist-info").mkdir()
    (tmp_path / "channels_redis-4.4.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: channels_redis\nVersion: 4.4.0\n"
    )
    (tmp_path / "impatient.py").write_text(
        "from tests.live.settings import *\n"
        "CELERY_BROKER_TRANSPORT_OPTIONS = {**CELERY_BROKER_TRANSPORT_OPTIONS, 'visibility_timeout': 600}\n"
        "CELERY_TASK_ANNOTATIONS = {'tasks.tasks.long_running_task': {'time_limit': 7200}}\n"
    )
    path = f"{tmp_path}{os.pathsep}{system.stack.env['PYTHONPATH']}"
    report = system.check(PYTHONPATH=path, DJANGO_SETTINGS_MODULE="impatient", METRICS_TOKEN="short")
    assert (report.code, report.named("failed")) == (1, {"packages", "settings", "visibility"})
    report.says("packages", "channels-redis is 4.4.0, not 4.3.0", "-m pip install -r requirements.txt")
    report.says("settings", "METRICS_TOKEN has 5 characters", "secrets.token_urlsafe")
    report.says("visibility", "after 600 s, but tasks.tasks.long_running_task may take 2 h", "= 14400")


def test_settings_that_cannot_be_read_at_all(system):
    report = system.check(TASKS_REQUIRE_LOGIN="perhaps")
    assert (report.code, report.named("failed")) == (1, {"settings"})
    report.says("settings", "TASKS_REQUIRE_LOGIN must be 1 or 0", ".env.example")
