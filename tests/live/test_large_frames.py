"""A long log and a large result reach every viewer, whichever way the server was started. No frame is over 256 kB."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from django_starter.processes.ports import free_port
from progress.messages import dumps
from progress.size import MAX_FRAME
from tests.waiting import wait_until

from .process import Process
from .stack import ROOT, Stack, web_answers
from .visitor import Visitor

LINES, CHARACTERS, RESULT = 900, 1_900, 170_000

#: Every way of starting a web server that this project's documents name, and those that a host of its own may choose.
WAYS: dict[str, list[str]] = {
    "daphne, as on a server": [],  # the stack's own
    "the dev server": ["manage.py", "runserver", "--noreload", "127.0.0.1:{port}"],
    "plain daphne": ["-m", "daphne", "-p", "{port}", "django_starter.asgi:application"],
    "plain uvicorn": ["-m", "uvicorn", "--port", "{port}", "django_starter.asgi:application"],
}


@pytest.fixture(scope="module")
def site(make_stack) -> Iterator[Stack]:
    stack = make_stack({"DEBUG": "1"})
    try:
        yield stack.start(workers=1, concurrency=2)
    finally:
        stack.close()


@pytest.fixture(scope="module")
def task_id(site) -> str:
    """A run that has ended, with a log of 3.4 MB and a result of 0.3."""
    task_id = site.start_job("lecture", lines=LINES, characters=CHARACTERS, result=RESULT)
    site.wait_state(task_id, "SUCCESS")
    return task_id


@pytest.fixture(scope="module")
def servers(site, guard) -> Iterator[dict[str, str]]:
    """The address of each."""
    started: list[Process] = []
    addresses: dict[str, str] = {}
    for name, command in WAYS.items():
        if not command:
            addresses[name] = site.url
            continue
        port = free_port()
        process = Process(
            name,
            [sys.executable, *(part.format(port=port) for part in command)],
            cwd=ROOT,
            env=site.env,
            log_path=site.folder / "logs" / f"{name}.log",
            guard=guard,
            ready=lambda port=port: web_answers(port),  # type: ignore[misc]
        )
        process.start(wait=False)
        started.append(process)
        addresses[name] = f"http://127.0.0.1:{port}"
    for process in started:
        process.wait_ready()
    yield addresses
    for process in started:
        process.kill()


def documented_client(folder: Path) -> Path:
    """The client that docs/PROTOCOL.md prints, as a file."""
    text = (ROOT / "docs" / "PROTOCOL.md").read_text()
    path = folder / "client.py"
    path.write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[-1])
    return path


def run(site: Stack, *command: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=site.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def numbers(lines: list[str]) -> list[int]:
    return [int(line[:5]) for line in lines if re.match(r"\d{5} é", line)]


@pytest.mark.parametrize("way", WAYS)
def test_a_long_log_and_a_large_result_are_seen_by_every_client(site, servers, task_id, way, tmp_path):
    alice = Visitor(servers[way], "alice")
    for cookie in site.visitor().cookies:
        alice.cookies.set_cookie(cookie)
    watcher = alice.watch(task_id)
    assert watcher.wait_closed(30) == 1000
    assert all(len(dumps(frame).encode()) <= MAX_FRAME for frame in watcher.frames)
    assert numbers(watcher.log_texts()) == list(range(1, LINES + 1))
    assert (watcher.state, watcher.task["result"], watcher.task["result_omitted"]) == ("SUCCESS", None, True)
    assert alice.task(task_id)["result"] == "é" * RESULT
    listed = alice.watch_list(task_id)
    snapshot = listed.wait_snapshot()
    assert (snapshot["log"], snapshot["task"]["result"]) == ([], None)
    session = alice.cookie("sessionid") or ""
    client = (str(documented_client(tmp_path)), servers[way], task_id, session)
    watch = ("-m", "progress.watch", f"{servers[way]}/tasks/{task_id}/", "--cookie", session)
    with ThreadPoolExecutor(2) as both:
        for lines in both.map(lambda command: run(site, *command), (client, watch)):
            assert numbers(lines) == list(range(1, LINES + 1))
            assert "SUCCESS" in lines[-1]
    alice.close()


def test_who_loses_the_line_in_the_middle_of_a_long_log_gets_all_of_it(site, task_id):
    alice = site.visitor()
    cut = alice.watch(task_id, answer_pings=False)  # the second part waits until the first is known to be read
    first = cut.wait_snapshot()
    assert first["more"]
    cut.close()
    assert [frame for frame in cut.of_type("snapshot") if not frame["more"]] == []
    again = alice.watch(task_id)
    again.wait_closed(30)
    assert numbers(again.log_texts()) == list(range(1, LINES + 1))


def test_a_viewer_sees_it_come_in_frames_that_fit(site):
    alice = site.visitor()
    task_id = alice.start_job("lecture", lines=LINES, characters=CHARACTERS, result=RESULT)
    watcher = alice.watch(task_id)
    wait_until(lambda: watcher.closed, 60, lambda: str(watcher))
    assert watcher.close_code == 1000
    assert numbers(watcher.log_texts()) == list(range(1, LINES + 1))
    assert watcher.task["result_omitted"]
    assert all(len(dumps(frame).encode()) <= MAX_FRAME for frame in watcher.frames)
