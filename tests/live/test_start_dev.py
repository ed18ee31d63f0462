"""`./start_dev.sh`: it comes up from anywhere, says what is wrong in one sentence, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import urllib.request
from pathlib import Path

import pytest

from django_starter import redis_file
from django_starter.processes.ports import free_port
from django_starter.processes.valkey import answers_ping
from tests.downloads import DOWNLOADS
from tests.waiting import wait_until

from .dev_script import DevScript, command_line
from .stack import ROOT
from .visitor import Visitor

#: Seconds in which everything has to be gone, as the README promises.
BOUND = 10


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the checkout to change files in. It shares only the installed packages."""
    copy = tmp_path / "checkout"
    # Caches, data and history stay behind.
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "node_modules", "staticfiles"))
    (copy / ".venv").symlink_to(ROOT / ".venv")
    return copy


def page(script: DevScript) -> str:
    with urllib.request.urlopen(script.url + "/", timeout=10) as answer:
        return answer.read().decode()


def one_sentence(script: DevScript) -> str:
    """What a call that ended at once has printed: its only line."""
    lines = script.output().strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def last_line(script: DevScript) -> str:
    return script.output().strip().splitlines()[-1]


def test_everything_answers_and_ctrl_c_ends_everything_though_a_task_runs(start_dev, tmp_path):
    link = tmp_path / "start"
    link.symlink_to(ROOT / "start_dev.sh")

    script = start_dev().start(cwd=tmp_path, script=link).wait_ready()

    assert "Start Task" in page(script)
    with urllib.request.urlopen(script.flower_url + "/", timeout=10) as flower:
        assert flower.status == 200
    redis_url = redis_file.read(script.dev_dir / "redis_url")
    assert answers_ping(redis_url)
    assert redis_url in script.output()
    ports = [redis_file.read(script.dev_dir / name) for name in ("port", "flower_port")]
    assert ports == [script.port, script.flower_port]  # for `manage.py doctor` and `download` in another shell
    assert stat.S_IMODE((script.dev_dir / "redis_url").stat().st_mode) == 0o600
    assert "\033[" not in script.output()  # no colours in a file

    # A second start says that one runs already, and does it no harm.
    second = start_dev(dev_dir=script.dev_dir).start()
    assert second.wait_exit(10) == 1
    assert one_sentence(second).startswith(f"start_dev.sh runs already (process {script.pid})")

    visitor = Visitor(script.url)
    task_id = visitor.start_task(steps=1000, delay=0.1)
    wait_until(lambda: visitor.task(task_id)["state"] == "STARTED", 20, "the task runs")
    visitor.close()

    script.signal(signal.SIGINT)

    assert script.wait_exit(BOUND) == 0
    assert script.processes() == []
    assert not (script.dev_dir / "redis_url").exists()


@pytest.mark.skipif(not DOWNLOADS, reason="this site has no downloads")
def test_with_huey_a_download_waits_for_huey_s_worker_which_runs_as_well(start_dev):
    script = start_dev(DOWNLOADS_ENGINE="huey").start().wait_ready()
    visitor = Visitor(script.url)
    asked = {"start_date": "2026-01-01", "end_date": "2026-01-03", "seller_id": "SELLER-1", "launcher": "alice"}
    home = visitor.post("/downloads/", asked)
    assert (home.status, home.headers["Location"]) == (303, "/")
    task_id = visitor.post("/downloads/", json=asked | {"seller_id": "SELLER-2"}).json()["task_id"]

    wait_until(lambda: visitor.task(task_id)["state"] == "SUCCESS", 40, lambda: script.output())
    assert visitor.task(task_id)["result"]["launcher"] == "alice"
    assert "tasks.huey.attempt: Attempt 1 of tasks.tasks.download_reports" in script.output()
    wait_until(lambda: visitor.get("/api/status/").json()["workers"]["count"] == 2, 10, "both workers are shown")
    visitor.close()

    script.signal(signal.SIGINT)
    assert script.wait_exit(BOUND) == 0
    assert script.processes() == []


def test_a_worker_and_a_web_server_that_are_killed_come_back_and_a_line_says_so(start_dev):
    script = start_dev().start().wait_ready()
    visitor = Visitor(script.url)
    task_id = visitor.start_task(steps=300, delay=0.1)
    wait_until(lambda: visitor.task(task_id)["state"] == "STARTED", 20, "the task runs")

    # Its parent, and the one that serves, whose parent passes on how it ended.
    for name, words in (("worker", ("celery", "worker", "-n")), ("web server", ("runserver",)), ("web server", ())):
        before, said = len(script.output()), f"The {name} died (SIGKILL): it was started again."
        processes = [one for one in script.processes() if "runserver" in command_line(one)]
        victim = script.process(*words) if words else max(processes, key=lambda process: process.pid)
        victim.kill()
        script.wait_for_line(said, 2, after=before)
        wait_until(lambda: answers(script), 40, lambda: f"the page is back:\n{script.output()}")

    wait_until(lambda: visitor.task(task_id)["lost"] == 1, 40, "the task runs again")
    visitor.close()
    assert script.exit_code is None


def test_the_death_of_the_worker_ends_everything(start_dev):
    script = start_dev().start()
    script.wait_for_line("Starting the worker")

    wait_until(lambda: script.find("celery", "worker", "-n"), 10, "the worker's process").kill()

    assert script.wait_exit(BOUND) == 1
    assert script.processes() == []
    assert "The worker died (SIGKILL)" in last_line(script)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_start_ends_everything(start_dev, number):
    script = start_dev().start()
    script.wait_for_line("Starting the worker")

    script.signal(number)

    assert script.wait_exit(BOUND) == 0
    assert script.processes() == []


def test_nothing_is_left_when_the_script_itself_is_killed(start_dev):
    script = start_dev().start()
    script.wait_for_line("Starting the worker")
    assert script.find("valkey-server") or "it was running already" in script.output()

    script.signal(signal.SIGKILL)

    script.wait_gone(BOUND)
    assert (script.dev_dir / "redis_url").exists()
    assert redis_file.read(script.dev_dir / "redis_url") == ""
    # Neither the lock nor the old redis_url nor a port stands in the way of the next start.
    again = start_dev(dev_dir=script.dev_dir, PORT=script.port, FLOWER_PORT=script.flower_port)
    again.start().wait_for_line("Starting the worker")


@pytest.mark.parametrize("name", ["PORT", "FLOWER_PORT"])
def test_a_taken_port_is_one_sentence(start_dev, name):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        script = start_dev(**{name: str(port)}).start()

        assert script.wait_exit(20) == 1
    sentence = one_sentence(script)
    assert f"Port {port} is taken" in sentence
    assert f"{name}=" in sentence
    assert script.processes() == []


def test_a_port_that_is_none_is_one_sentence(start_dev):
    script = start_dev(PORT="http").start()

    assert script.wait_exit(20) == 1
    assert "PORT must be a whole number from 1 to 65535, but got 'http'." in one_sentence(script)


def test_a_redis_url_where_nobody_answers_is_one_sentence(start_dev):
    script = start_dev(REDIS_URL=f"redis://:secret@127.0.0.1:{free_port()}/0").start()

    assert script.wait_exit(30) == 1
    assert "Nothing answers at REDIS_URL=redis://:***@127.0.0.1" in last_line(script)
    assert "secret" not in script.output()


def test_a_given_redis_is_used_and_outlives_the_script(start_dev, valkey):
    script = start_dev(REDIS_URL=valkey).start()
    script.wait_for_line(f"{valkey}  (from REDIS_URL)")
    script.wait_for_line("Starting the worker")

    script.signal(signal.SIGTERM)
    assert script.wait_exit(BOUND) == 0
    assert answers_ping(valkey)


def test_a_python_that_is_too_old_is_one_sentence(start_dev, checkout, tmp_path):
    (checkout / ".venv").unlink()
    old = tmp_path / "bin"
    old.mkdir()
    for name in ("python3.13", "python3.12", "python3.11", "python3", "python"):
        fake = old / name
        fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
        fake.chmod(0o755)

    script = start_dev(root=checkout, PATH=f"{old}{os.pathsep}{os.environ['PATH']}").start()

    assert script.wait_exit(20) == 1
    assert one_sentence(script).startswith("Python 3.9.2 is too old")


def test_the_worker_starts_again_when_python_code_changes(start_dev, checkout):
    script = start_dev(root=checkout).start().wait_ready()
    before = script.process("celery", "worker", "-n").pid
    code = checkout / "tasks" / "tasks.py"

    # A file that is half written does not end the worker for good …
    good = code.read_text()
    code.write_text(good + "\ndef half(:\n")
    script.wait_for_line("it tries again at the next change", 40)
    assert script.exit_code is None

    # … and the next one that is whole is taken.
    code.write_text(good + "\n\n@shared_task\ndef added_while_it_ran():\n    pass\n")
    script.wait_for_line("The worker runs the changed code", 40)
    script.wait_for_line("added_while_it_ran", 5)
    assert script.process("celery", "worker", "-n").pid != before

    # The web server has done the same.
    wait_until(lambda: answers(script), 40, lambda: f"the page is back:\n{script.output()}")


def answers(script: DevScript) -> bool:
    try:
        return "Start Task" in page(script)
    except OSError:
        return False
