"""`python -m progress.watch`: the bar of any task in a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until

from .stack import ROOT, Stack


@pytest.fixture
def watch() -> Iterator[Any]:
    """Starts the command; ends what is left of it."""
    started: list[subprocess.Popen[str]] = []

    def start(stack: Stack, *arguments: str, cookie: str | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "progress.watch", *arguments],
            cwd=ROOT,
            env={**stack.env, **({"PROGRESS_COOKIE": cookie} if cookie else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """The exit code, the lines it wrote, and what it said on standard error."""
    out, err = process.communicate(timeout=30)
    return process.returncode, out.splitlines(), err


@pytest.mark.parametrize("path", ["/tasks/{}/", "/api/tasks/{}/", "/ws/progress/{}/"])
def test_the_address_of_a_task_and_a_cookie_show_its_log_and_its_end(stack, watch, path):
    task_id = stack.start_job("recite", steps=20, delay=0.05, log_every=5)
    session = stack.visitor().cookie("sessionid")
    code, lines, err = finish(watch(stack, stack.url + path.format(task_id), cookie=session))
    assert (code, err) == (0, "")
    assert lines[:-1] == ["line 1", "line 2", "line 3", "line 4"]
    assert lines[-1].startswith("SUCCESS")
    assert "100.0 %" in lines[-1]
    assert "20 of 20" in lines[-1]


def test_a_bare_id_is_read_from_the_record_itself(stack, watch):
    task_id = stack.start_job("recite", steps=20, delay=0.05, log_every=5)
    code, lines, err = finish(watch(stack, task_id))
    assert (code, err) == (0, "")
    assert lines[:-1] == ["line 1", "line 2", "line 3", "line 4"]
    assert "100.0 %" in lines[-1]


def test_a_failure_is_told_and_is_the_exit_code(stack, watch):
    task_id = stack.start_job("fail", message="the disk is full")
    for task in (f"{stack.url}/tasks/{task_id}/", task_id):
        code, lines, _ = finish(watch(stack, task, cookie=stack.visitor().cookie("sessionid")))
        assert code == 1
        assert lines[-1] == "FAILURE  RuntimeError: the disk is full"


@pytest.mark.parametrize("way", ["environment", "file", "option of before"])
def test_the_cookie_is_not_in_the_list_of_processes(stack, watch, tmp_path, way):
    gate, kept = tmp_path / "gate", tmp_path / "cookie"
    task_id = stack.start_job("recite_until", str(gate), steps=20, delay=0.05, log_every=5)
    session = stack.visitor().cookie("sessionid")
    kept.write_text(f"{session}\n")
    address = f"{stack.url}/tasks/{task_id}/"
    if way == "environment":
        process = watch(stack, address, cookie=session)
    else:
        process = watch(stack, address, *(["--cookie-file", str(kept)] if way == "file" else ["--cookie", session]))
    assert process.stdout
    assert process.stdout.readline() == "line 1\n"
    assert session not in Path(f"/proc/{process.pid}/cmdline").read_text()
    gate.touch()
    assert finish(process)[0] == 0


def test_a_cookie_file_that_is_not_there_is_named(stack, watch):
    code, _, err = finish(watch(stack, f"{stack.url}/tasks/x/", "--cookie-file", "/nowhere/cookie"))
    assert code == 2
    assert err.startswith("--cookie-file cannot be read")


def test_a_strangers_task_cannot_be_watched(stack, watch):
    task_id = stack.start_job("echo")
    code, lines, err = finish(watch(stack, f"{stack.url}/tasks/{task_id}/"))
    assert (code, lines) == (2, [])
    assert "not yours" in err


@pytest.mark.parametrize("nonsense", ["http://localhost/", "ftp://x/tasks/1/", "http://localhost/tasks/a b/"])
def test_an_address_of_no_task_is_refused(stack, watch, nonsense):
    code, _, err = finish(watch(stack, nonsense))
    assert code == 2
    assert err.startswith("Expected the address of a task")


def test_an_unknown_id_is_said_to_be_unknown(stack, watch):
    code, _, err = finish(watch(stack, "no-such-task"))
    assert (code, err) == (2, "There is no task no-such-task.\n")


def test_the_settings_are_found_beside_manage_py(stack, watch):
    task_id = stack.start_task(task="demo_task")
    env = {key: value for key, value in stack.env.items() if key != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-m", "progress.watch", task_id], cwd=ROOT, env=env, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "All done." in done.stdout


def test_it_comes_back_when_the_web_server_does(new_stack, watch):
    stack: Stack = new_stack().start()
    task_id = stack.start_job("recite", steps=120, delay=0.05, log_every=5)
    session = stack.visitor().cookie("sessionid")
    process = watch(stack, f"{stack.url}/tasks/{task_id}/", cookie=session)
    assert process.stdout
    assert process.stdout.readline() == "line 1\n"
    assert stack.web
    stack.web.kill()
    stack.start_web()
    code, lines, err = finish(process)
    assert (code, err) == (0, "")
    assert lines[:-1] == [f"line {number}" for number in range(2, 25)]
    assert lines[-1].startswith("SUCCESS")


def test_in_a_terminal_one_line_is_painted(stack, tmp_path):
    import pty

    gate = tmp_path / "gate"
    task_id = stack.start_job("recite_until", str(gate), steps=60, delay=0.05, log_every=30)
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "progress.watch", task_id], cwd=ROOT, env=stack.env, stdout=child, stderr=child
    )
    os.close(child)
    shown = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            data = os.read(parent, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
        if shown.count(b"\r") > 10:
            gate.touch()
    os.close(parent)
    wait_until(lambda: process.poll() is not None, 5)
    assert process.returncode == 0
    text = shown.decode().replace("\x1b[K", "")
    bars = {part for part in text.split("\r") if part.strip() and "line" not in part}
    assert len(bars) > 2  # it moved
    assert "\rline 1\r\n" in text
    assert text.rstrip().split("\r")[-1].strip().startswith("SUCCESS")
