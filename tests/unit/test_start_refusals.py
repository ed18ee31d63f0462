"""Nonsense in the environment, in `.env`, or left behind by an earlier start: one sentence each, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_starter.environment import DEV_DIR, read_file
from django_starter.errors import Trouble
from django_starter.processes.settings import try_settings
from django_starter.serve.__main__ import refuse_unfit_services
from django_starter.serve.orphans import end_orphans, orphans
from tests.downloads import of_downloads
from tests.live.stack import ROOT
from tests.waiting import wait_until

SETTINGS = [
    *(
        "DEBUG=flase",
        "PORT=x",
        "FLOWER_PORT=99999",
        "HTTPS=perhaps",
        "PROXIES=-1",
        "LOG_FORMAT=xml",
        "STARTS_PER_MINUTE=x",
    ),
    *("DATABASE_URL=mysql://x", "DATABASE_URL=postgres://u:p@host:port/x", "REDIS_URL=foo", "REDIS_URL=http://x"),
    *("BROKER_URL=kafka://x", "SOCKETS_PER_VISITOR=many"),
    *of_downloads("DOWNLOAD_STORAGE_OPTIONS={", "DOWNLOAD_MAX_DAYS=0"),
    "ALLOWED_HOSTS=tasks.example.com",  # without a SECRET_KEY
]


@pytest.mark.parametrize("said", SETTINGS)
def test_what_the_settings_refuse_is_one_sentence_before_anything_is_started(said, monkeypatch):
    name, _, value = said.partition("=")
    monkeypatch.setenv(name, value)
    before = sys.modules.get("django_starter.settings")
    with pytest.raises(Trouble) as refused:
        try_settings()
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert name in sentence or "SECRET_KEY" in sentence or ".env.example" in sentence
    assert sys.modules.get("django_starter.settings") is before


@pytest.mark.parametrize(
    "said", ["ASGI_SERVER=gunicorn", "ASGI_SERVER=Daphne", "FLOWER_READ_ONLY=x", "DATABASE_POOL=-1"]
)
def test_what_a_service_would_refuse_again_and_again_is_refused_at_the_start(said, monkeypatch):
    name, _, value = said.partition("=")
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=name):
        refuse_unfit_services()


@pytest.mark.parametrize("host", ["nonsense", "256.0.0.1", "192.0.2.1", "[::2]", "http://x"])
def test_an_address_that_is_not_this_machines_is_named(host, monkeypatch):
    monkeypatch.setenv("BIND", host)
    with pytest.raises(Trouble, match=r"BIND=.* is no address of this machine"):
        refuse_unfit_services()


@pytest.mark.parametrize("host", ["", "127.0.0.1", "0.0.0.0", "localhost"])
def test_an_address_of_this_machine_is_taken(host, monkeypatch):
    monkeypatch.setenv("BIND", host)
    refuse_unfit_services()


@pytest.mark.parametrize("text", ["this is not a setting", "DEBUG=1\n<html>\n", "PORT 8001"])
def test_a_line_of_the_file_that_sets_nothing_is_named(text, tmp_path):
    path = tmp_path / ".env"
    path.write_text(text)
    with pytest.raises(ImproperlyConfigured, match=r"\.env, line \d: expected NAME=value"):
        read_file(path)
    path.write_text("# a comment\n\nexport A=1\nB = 'x'\n")
    assert read_file(path)["A"] == "1"


@pytest.mark.slow
@pytest.mark.parametrize("script", ["django_starter.dev", "django_starter.serve"])
@pytest.mark.parametrize("content", [b"\xff\xfe nonsense", b"nonsense\n", b"DEBUG=flase\n"])
def test_a_start_script_says_it_in_one_line(script, content, tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(content)
    env = {**os.environ, "ENV_FILE": str(path), "DEV_DIR": str(tmp_path / "dev")}
    done = subprocess.run([sys.executable, "-m", script], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert len(lines) == 1, lines
    assert ".env" in lines[0] or "DEBUG must be" in lines[0]


# --- what an earlier start left ---------------------------------------------------------------------------------------


@pytest.fixture
def left_behind() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Processes such as a supervisord that was killed leaves, and others that are none of ours."""
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    willing = "import time; print(flush=True); time.sleep(60)"
    ours, another = {"DEV_DIR": str(DEV_DIR)}, {"DEV_DIR": f"{DEV_DIR}-2"}
    kinds = {
        "web": (willing, {**ours, "SUPERVISOR_PROCESS_NAME": "web"}),
        "worker": (stubborn, {**ours, "SUPERVISOR_PROCESS_NAME": "worker"}),
        "another checkout's": (willing, {**another, "SUPERVISOR_PROCESS_NAME": "web"}),
        "a shell's": (willing, ours),
    }
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, **env}, stdout=subprocess.PIPE, start_new_session=True
        )
        for name, (code, env) in kinds.items()
    }
    for process in started.values():
        assert process.stdout
        process.stdout.readline()
    yield started
    for process in started.values():
        process.kill()
        process.communicate()


def test_services_that_outlived_their_supervisord_are_named_and_ended(left_behind, monkeypatch):
    monkeypatch.setattr("django_starter.serve.orphans.GRACE", 0.5)
    expected = {name: left_behind[name].pid for name in ("web", "worker")}
    assert orphans() == expected
    # A test is their parent, and has to take note of their end.
    monkeypatch.setattr(
        "django_starter.serve.orphans.running",
        lambda pid: any(one.pid == pid and one.poll() is None for one in left_behind.values()),
    )
    assert end_orphans() == expected
    wait_until(lambda: all(left_behind[name].poll() is not None for name in expected), 5)
    assert left_behind["another checkout's"].poll() is None
    assert left_behind["a shell's"].poll() is None
    assert not end_orphans()


def test_nothing_is_ended_where_nothing_was_left():
    assert not orphans()
