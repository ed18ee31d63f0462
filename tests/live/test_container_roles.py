"""What a container runs, without a container: each role of deploy/start.sh works, is found well, and ends in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from django_starter.processes.ports import free_port
from tests.waiting import wait_until

from .process import Process
from .stack import ROOT

#: Seconds that Docker and Kubernetes give it: `stop_grace_period`, `terminationGracePeriodSeconds`.
GRACE = {"web": 10, "worker": 20, "flower": 10}


@pytest.fixture
def env(stack, tmp_path: Path) -> dict[str, str]:
    """As in a container: the addresses of the others, a folder to write into, and one host that is served."""
    ports = {"PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
    here = {"DEV_DIR": str(tmp_path / "data"), "PYTHON": sys.executable, "ALLOWED_HOSTS": "localhost"}
    database = {"DATABASE_URL": f"sqlite:///{stack.env['DEV_DIR']}/db.sqlite3"}  # its own folder has none
    return {**database, **stack.env, **here, **ports, "FLOWER_PASSWORD": "secret-of-a-test", "HASHED_STATIC": "1"}


def healthy(role: str, env: dict[str, str]) -> bool:
    command = [sys.executable, "deploy/healthy.py", role]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize("role", GRACE)
def test_a_role_is_well_while_it_runs_and_ends_within_its_grace(role, env, stack, guard, tmp_path):
    assert not healthy(role, env)
    process = Process(
        role,
        [ROOT / "deploy" / "start.sh", role],
        cwd=tmp_path,
        env=env,
        log_path=tmp_path / "log",
        guard=guard,
        ready=lambda: healthy(role, env),
    )
    process.start(60)
    if role == "web":
        assert list((tmp_path / "data" / "staticfiles" / "tasks").glob("home.*.js"))
    began = time.monotonic()
    process.signal(signal.SIGTERM)
    wait_until(lambda: not process.alive, GRACE[role])
    assert not healthy(role, env), time.monotonic() - began


def test_the_first_thing_is_a_migrated_database(env, tmp_path):
    env = {**env, "DATABASE_URL": f"sqlite:///{tmp_path}/new.sqlite3"}
    for _ in range(2):  # as the next release does
        subprocess.run([ROOT / "deploy" / "start.sh", "migrate"], env=env, check=True, capture_output=True, timeout=60)
    said = subprocess.run(
        [ROOT / "deploy" / "start.sh", sys.executable, "manage.py", "migrate", "--check"], env=env, timeout=60
    )
    assert said.returncode == 0
