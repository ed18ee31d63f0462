"""Where a task is: its thread's stack, taken from beside it, whatever it hangs in; no arguments and no locals."""

from __future__ import annotations

import queue
import select
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from progress import where
from progress.flusher import Flusher
from progress.reporter import Reporter
from progress.sink import Reply
from tasks.celery import stack
from tests.waiting import wait_until

from .fakes import FakeSink

SECRET = "4711-do-not-show"


class Hanging:
    """What a task may hang in, and how it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.lock, self.queue = threading.Lock(), queue.Queue[str]()
        self.here, self.there = socket.socketpair()
        self.lock.acquire()

    def end(self) -> None:
        if self.let_go.is_set():
            return
        self.let_go.set()
        self.lock.release()
        self.queue.put("")
        self.there.send(b"x")

    def close(self) -> None:
        self.here.close()
        self.there.close()


def in_sleep(hanging: Hanging, secret: str) -> None:
    while not hanging.let_go.is_set():
        time.sleep(0.2)


def in_a_lock(hanging: Hanging, secret: str) -> None:
    hanging.lock.acquire()


def in_a_socket_read(hanging: Hanging, secret: str) -> None:
    hanging.here.recv(1)


def in_select(hanging: Hanging, secret: str) -> None:
    select.select([hanging.here], [], [])


def in_a_queue(hanging: Hanging, secret: str) -> None:
    hanging.queue.get()


def in_an_event(hanging: Hanging, secret: str) -> None:
    hanging.let_go.wait()


def in_a_loop(hanging: Hanging, secret: str) -> None:
    while not hanging.let_go.is_set():
        pass


HANGS: list[Callable[[Hanging, str], None]] = [
    *(in_sleep, in_a_lock, in_a_socket_read, in_select, in_a_queue, in_an_event, in_a_loop)
]


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    found = Hanging()
    yield found
    found.end()
    found.close()


@pytest.mark.parametrize("hang", HANGS, ids=lambda hang: hang.__name__)
def test_the_line_that_a_task_hangs_in_is_named_and_nothing_that_it_holds(hang, hanging):
    sink, flusher = FakeSink(), Flusher(interval=0.01, poll_interval=0.02)
    answers: list[str] = []
    sink.reply = Reply(asked=answers.append)

    def work() -> None:
        reporter = Reporter("t", 1, sink, flusher).open()
        try:
            hang(hanging, SECRET)
        finally:
            reporter.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    found = wait_until(lambda: [one for one in answers if f"in {hang.__name__}\n" in one], 10, "it answers")[0]
    assert f'File "{__file__}", line ' in found
    assert SECRET not in found
    hanging.end()
    thread.join(10)


def test_a_thread_that_is_gone_has_no_stack():
    made: list[where.Thread] = []
    thread = threading.Thread(target=lambda: made.append(where.Thread()))
    thread.start()
    thread.join()
    if made[0]._ident not in sys._current_frames():  # its number may be another thread's by now
        assert made[0].stack() == ""


def test_what_calls_the_task_is_left_out():
    calls = [
        '  File "celery.py", line 1, in trace',
        '  File "task.py", line 2, in _run',
        '  File "mine.py", line 3, in f',
    ]
    assert where.within(calls, "task.py") == calls[2]
    assert where.within(calls, "") == "\n".join(calls)
    assert where.within(calls[:2], "task.py") == "\n".join(calls[:2]), "rather too much than nothing"
    assert len(where.within(["x" * 30_000 + "end"], "")) == where.MAX_STACK


def test_a_greenlet_that_waits_is_found():
    script = """
        import greenlet
        from progress.where import Thread

        def task():
            secret = "4711"
            found.append(Thread())
            greenlet.getcurrent().parent.switch()  # waits here

        found = []
        one = greenlet.greenlet(task)
        one.switch()
        text = found[0].stack()
        # Python 3.13 knows the text of this line, too.
        assert any(line.endswith("line 8, in task") for line in text.splitlines()[-2:]), text
        """
    pytest.importorskip("greenlet")
    run(script)


def run(script: str) -> str:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_whose_c_code_holds_the_interpreter_is_asked_by_a_signal(tmp_path):
    """No thread of it can run: not the one beside the task either."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import re\n\n"
        "def inner(secret):\n"
        "    re.match('(a|aa)+$', 'a' * 60 + 'b')  # holds the interpreter\n\n"
        "def task(secret):\n"
        "    inner(secret)\n"
    )
    script = f"""
        import os, signal, sys, time
        sys.path.insert(0, {str(tmp_path)!r})
        import mine
        from tasks.celery import stack

        stack.listen()
        pids = []
        secret = "4711"
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                mine.task(secret)
                os._exit(0)
            pids.append(pid)
        texts = []
        for pid in pids * 2:
            text = ""
            for _ in range(200):
                text = stack.stack_of(pid, "nobody.py")
                if "in inner" in text:
                    break
                time.sleep(0.02)
            texts.append(text)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        print(texts[0])
        assert all("in inner" in text for text in texts), texts
        """
    if stack.SIGNAL is None:
        pytest.skip("no such signal here")
    text = run(script)
    assert f'File "{mine}", line 4, in inner' in text
    assert "# holds the interpreter" in text, "with the line itself"
    assert text.index("in task") < text.index("in inner"), "the innermost call last"
    assert "4711" not in text


def test_a_process_that_does_not_listen_is_not_sent_the_signal_that_would_end_it(monkeypatch):
    monkeypatch.setattr(stack, "_file", object())
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert stack.stack_of(child.pid, "") == ""
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
    assert stack.stack_of(2**22 + 1, "") == "", "nor one that is not there"


PRINTED = """Thread 0x00007f01 (most recent call first):
  File "/lib/threading.py", line 331 in wait
  File "/site/progress/flusher.py", line 120 in _look

Current thread 0x00007f02 (most recent call first):
  File "/jobs/mine.py", line 4 in inner
  File "/jobs/mine.py", line 8 in task
  File "/site/tasks/celery/task.py", line 250 in _run
  File "/site/celery/app/trace.py", line 479 in trace_task
"""


def test_of_all_threads_that_are_printed_the_tasks_is_shown():
    told = '  File "/jobs/mine.py", line 8, in task\n  File "/jobs/mine.py", line 4, in inner'
    assert stack.read(PRINTED, "/site/tasks/celery/task.py") == told
    others_first = "\n\n".join(reversed(PRINTED.strip().split("\n\n"))).replace("Current thread", "Thread")
    assert stack.read(others_first, "/site/tasks/celery/task.py") == told
    assert stack.read("", "x") == stack.read("Fatal\n", "x") == ""


def test_an_answer_that_cannot_be_given_ends_no_task(caplog: Any):
    sink, flusher = FakeSink(), Flusher(interval=0.01, poll_interval=0.02)

    def refuse(text: str) -> None:
        raise ConnectionError

    reporter = Reporter("t", 1, sink, flusher).open()
    sink.reply = Reply(asked=refuse)
    reporter.set(1)
    wait_until(lambda: sink.polls > 1, 10, "it goes on")
    sink.reply = Reply()
    reporter.set(2)
    wait_until(lambda: sink.last["current"] == 2, 10, "it tells")
    reporter.close()
