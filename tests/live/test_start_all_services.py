"""`./start_all_services.sh` in a fresh copy: it serves, heals what dies, ends in time, and loses no task."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import expect

from django_starter import redis_file
from django_starter.processes.ports import free_port
from django_starter.processes.valkey import answers_ping
from tests.waiting import wait_until

from .dev_script import DevScript
from .stack import ROOT, web_answers
from .visitor import Visitor

#: Seconds in which everything has to be gone, as the issue promises.
BOUND = 15
#: Seconds in which a service that was killed is back. Python takes some of them to start.
BACK = 30


class Services(DevScript):
    """One call of start_all_services.sh of a copy of the checkout, which shares only the installed packages."""

    def __init__(self, guard, **env: str) -> None:
        # Not tmp_path: the path of a unix socket has to be short.
        self.copy = Path(tempfile.mkdtemp(prefix="ds-"))
        shutil.copytree(
            ROOT,
            self.copy,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns(".*", "node_modules", "staticfiles"),
        )
        (self.copy / ".venv").symlink_to(ROOT / ".venv")
        super().__init__(guard, root=self.copy, dev_dir=self.copy / ".dev", **env)

    def begin(self) -> Services:
        """Start the script, whatever may come of it."""
        self.start(cwd=Path("/"), script=self.copy / "start_all_services.sh")
        return self

    def begin_and_wait(self) -> Services:
        """Start the script and wait until everything serves."""
        self.begin().wait_ready(120)
        wait_until(lambda: web_answers(int(self.port)), 60, self.logs)
        wait_until(lambda: set(self.states()) == {"RUNNING"}, 60, self.logs)
        wait_until(self.is_ready, 30, self.logs)
        return self

    def is_ready(self) -> bool:
        """True if a task that is started now will run."""
        visitor = Visitor(self.url)
        try:
            return visitor.get("/health/ready").status == 200
        except OSError:
            return False
        finally:
            visitor.close()

    def supervisorctl(self, *arguments: str) -> str:
        command = [str(self.copy / ".venv/bin/supervisorctl"), "-c", "supervisord.conf", *arguments]
        env = {key: value for key, value in os.environ.items() if key != "DEV_DIR"}
        return subprocess.run(command, cwd=self.copy, env=env, capture_output=True, text=True, timeout=30).stdout

    def states(self) -> list[str]:
        return [line.split()[1] for line in self.supervisorctl("status").splitlines() if len(line.split()) > 1]

    def pid_of(self, service: str) -> int | None:
        words = next((line.split() for line in self.supervisorctl("status", service).splitlines()), [])
        return int(words[3].rstrip(",")) if "RUNNING" in words else None

    def is_another(self, service: str, before: int) -> bool:
        """True if the service runs as another process than `before`."""
        return self.pid_of(service) not in (None, before)

    def rows(self) -> dict[str, str]:
        """The state of each stored run."""
        with sqlite3.connect(self.dev_dir / "db.sqlite3", timeout=10) as database:
            return dict(database.execute("SELECT id, state FROM tasks_taskrun"))

    def logs(self) -> str:
        parts = [self.output(), *(path.read_text()[-2000:] for path in sorted((self.dev_dir / "logs").glob("*.log")))]
        return "\n----\n".join(parts)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.copy, ignore_errors=True)


@pytest.fixture(scope="module")
def services(guard) -> Iterator[Services]:
    script = Services(guard)
    try:
        yield script.begin_and_wait()
    finally:
        script.close()


@pytest.fixture
def refused(guard) -> Iterator:
    """`refused(PORT=...)`: a start that ends by itself; its last line."""
    made: list[Services] = []

    def start(**env: str) -> str:
        made.append(Services(guard, **env))
        script = made[-1].begin()
        assert script.wait_exit(60) == 1
        assert script.processes() == []
        return script.output().strip().splitlines()[-1]

    yield start
    for script in made:
        script.close()


def test_a_click_in_the_browser_runs_to_100_percent_with_hashed_files_and_a_strict_policy(services, page):
    seen: list[tuple[str, int]] = []
    complaints: list[str] = []
    page.on("response", lambda response: seen.append((response.url, response.status)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)

    answer = page.goto(services.url + "/")
    page.get_by_role("button", name="Start Task").click()

    bar = page.locator("task-progress").first.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "100", timeout=40_000)
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
    assert not complaints
    assert not [one for one in seen if one[1] >= 400]
    scripts = [url for url, _ in seen if "/static/" in url and url.endswith(".js")]
    assert len(scripts) >= 5
    for url in scripts:  # those that a module imports, too
        assert len(url.split(".")[-2]) == 12, f"{url} has no hash in its name"
        assert "immutable" in page.request.get(url).headers["cache-control"]


def test_the_doors_are_closed(services):
    control = services.copy / ".dev" / "run" / "supervisor.sock"
    assert stat.S_IMODE(control.stat().st_mode) == 0o700
    assert stat.S_IMODE(control.parent.stat().st_mode) == 0o700
    for name in ("secret_key", "flower_password", "db.sqlite3"):
        assert stat.S_IMODE((services.dev_dir / name).stat().st_mode) == 0o600, name

    flower = Visitor(services.flower_url)
    password = (services.dev_dir / "flower_password").read_text()
    assert password in services.output()
    assert flower.get("/").status == 401
    assert flower.get("/api/workers").status == 401
    headers = {"Authorization": basic("flower", password)}
    assert flower.get("/", headers=headers).status == 200
    # Who may look may not act.
    assert flower.request("POST", "/api/worker/shutdown/worker@x", b"", headers).status == 403
    assert flower.request("POST", "/api/task/send-task/tasks.tasks.demo_task", b"{}", headers).status == 403
    flower.close()
    for process in services.processes():
        assert password not in " ".join(process.cmdline()), "everybody can read a command line"


def test_what_is_killed_comes_back_and_no_task_is_lost(services):
    visitor = Visitor(services.url, timeout=20)
    started = []

    def has(task_id: str, state: str) -> bool:
        return bool(visitor.task(task_id)["state"] == state)

    for service in ("services:web", "services:worker", "services:flower", "valkey"):
        wait_until(services.is_ready, 60, services.logs)
        task_id = visitor.start_task(steps=40, delay=0.1)
        started.append(task_id)
        wait_until(partial(has, task_id, "STARTED"), 20, services.logs)
        before = services.pid_of(service)
        assert before, services.supervisorctl("status")

        os.kill(before, signal.SIGKILL)

        wait_until(partial(services.is_another, service, before), BACK, services.logs)
        wait_until(lambda: web_answers(int(services.port)), BACK, services.logs)
    for task_id in started:
        wait_until(partial(has, task_id, "SUCCESS"), 60, services.logs)
    visitor.close()
    assert set(started) <= set(services.rows())
    # Shells beside this find the server that came back, too.
    assert answers_ping(redis_file.read(services.dev_dir / "redis_url"))


def test_every_log_line_of_a_click_has_its_request_task_and_attempt(services):
    visitor = Visitor(services.url)
    answer = visitor.post("/tasks/start/", json={"steps": 1, "delay": 0}, headers={"X-Request-ID": "from-the-proxy.1"})
    task_id = answer.json()["task_id"]
    assert answer.headers["X-Request-ID"] == "from-the-proxy.1"
    wait_until(lambda: visitor.task(task_id)["state"] == "SUCCESS", 20, services.logs)
    visitor.close()

    def lines() -> list[dict]:
        found = []
        for name in ("web", "worker"):
            for line in (services.dev_dir / "logs" / f"{name}.log").read_text().splitlines():
                if line.startswith("{") and json.loads(line).get("task_id") == task_id:
                    found.append(json.loads(line))
        return found

    wait_until(lambda: any("succeeded" in line["message"] for line in lines()), 10, services.logs)
    told = lines()
    assert any("Accepted" in line["message"] for line in told)
    in_a_process = [line for line in told if "received" not in line["message"]]
    assert {line["request_id"] for line in in_a_process} == {"from-the-proxy.1"}
    assert {line["attempt"] for line in in_a_process if "Accepted" not in line["message"]} == {1}


def test_a_second_start_says_that_one_runs(services):
    second = subprocess.run(
        [services.copy / "start_all_services.sh"], env=services._env, capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1
    assert second.stderr.startswith(f"start_all_services.sh runs already (process {services.pid})")


def test_term_ends_everything_in_time_and_gives_unfinished_tasks_back(services):
    visitor = Visitor(services.url)
    wait_until(services.is_ready, 60, services.logs)
    task_id = visitor.start_task(steps=1000, delay=0.1)
    wait_until(lambda: visitor.task(task_id)["state"] == "STARTED", 20, services.logs)
    visitor.close()

    services.signal(signal.SIGTERM)

    services.wait_gone(BOUND)
    assert services.wait_exit(1) == 0
    assert services.rows()[task_id] in ("PENDING", "RETRY"), "it was given back"


def test_a_taken_port_is_one_sentence(refused):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert f"Port {port} is taken by another program" in refused(PORT=str(port))


def test_a_public_site_without_a_secret_key_does_not_start(refused):
    assert "SECRET_KEY must be set" in refused(ALLOWED_HOSTS="tasks.example.com")


def test_nonsense_in_the_environment_is_one_sentence(refused):
    assert "TASKS_REQUIRE_LOGIN must be 1 or 0" in refused(TASKS_REQUIRE_LOGIN="perhaps")


def test_uvicorn_serves_as_well_on_a_given_redis_that_outlives_it(guard, valkey):
    script = Services(guard, ASGI_SERVER="uvicorn", REDIS_URL=valkey, REDIS_PREFIX="all-services")
    try:
        script.begin().wait_ready(120)
        wait_until(script.is_ready, 60, script.logs)
        assert "uvicorn" in " ".join(script.process("uvicorn").cmdline())
        visitor = Visitor(script.url)
        task_id = visitor.start_task(steps=10, delay=0)
        assert visitor.watch(task_id).wait_final(30)["state"] == "SUCCESS"
        visitor.close()
        script.signal(signal.SIGTERM)
        script.wait_gone(BOUND)
        assert answers_ping(valkey)
    finally:
        script.close()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
