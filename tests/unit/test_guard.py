"""What a supervisor has started ends with it, at whatever moment it is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from django_starter.processes.guard import running, signal_group
from tests.waiting import wait_until

#: A supervisor that starts one service, and what it does at which moment.
SUPERVISOR = """
import os, signal, subprocess, sys
from pathlib import Path
from django_starter.dev.output import Output
from django_starter.dev.service import Service
from django_starter.processes.guard import Guard

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Dies(subprocess.Popen):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        print(self.pid, flush=True)
        {in_start}

guard = Guard()
{before}
subprocess.Popen = Dies
sleep = [sys.executable, "-c", "import time; time.sleep(120)"]
service = Service("sleep", sleep, cwd=Path("/"), env=os.environ, guard=guard, output=Output())
service.start()
{after}
"""
MOMENTS = {
    "as soon as its service runs, before it has done anything more": {"in_start": "die()"},
    "later": {"after": "die()"},
    "by itself, without a word to its service": {},
}


def supervise(**moments: str) -> tuple[int, int]:
    """The exit code of the supervisor, and the group of its service."""
    code = SUPERVISOR.format(**{"in_start": "pass", "before": "", "after": "", **moments})
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True, timeout=30)
    return done.returncode, int(done.stdout.splitlines()[0])


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_service_ends_with_its_supervisor(moment):
    code, group = supervise(**MOMENTS[moment])
    assert code == (-9 if "die()" in MOMENTS[moment].values() else 0)
    try:
        wait_until(lambda: not running(group), 20, "the service ends")
    finally:
        signal_group(group, signal.SIGKILL)


def test_a_service_starts_without_a_guard():
    before = "guard._process.kill(); guard._process.wait()"
    code, group = supervise(before=before, after="assert service.running; service.kill()")
    assert code == 0
    assert not running(group)
