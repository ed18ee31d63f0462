"""Importing the settings reads, and does nothing else; what has to be made is made when Django is set up."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.downloads import of_downloads

ROOT = Path(__file__).resolve().parents[2]

#: Imports the settings under watch, then prints what else happened than reading.
IMPORT = """
import json, os, sys

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("mkdir", "rmdir", "rename", "remove", "link", "symlink", "chmod", "chown", "truncate", "putenv", "unsetenv",
           "fork", "exec", "posix_spawn", "system", "kill")
happened = []

def watch(event, arguments):
    changes = event.startswith("os.") and event.removeprefix("os.") in CHANGES
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if event.startswith(("socket.", "subprocess.", "tempfile.", "shutil.")) or changes or writes:
        happened.append(f"{event} {arguments!r}")

before = dict(os.environ)
sys.addaudithook(watch)
import django_starter.settings as settings
seen = list(happened)
print(json.dumps({"seen": seen, "same": dict(os.environ) == before, "redis": settings.REDIS_URL}))
"""


def run(code: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """`code` in a fresh process without settings of its own, in a checkout whose DEV_DIR is `folder`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    kept |= {"DEV_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "django_starter.settings", "ENV_FILE": os.devnull}
    # -B: that Python keeps what it compiled is no doing of the settings.
    command = [sys.executable, "-B", "-c", code]
    return subprocess.run(command, cwd=ROOT, env=kept | env, capture_output=True, text=True, timeout=60)


def imported(folder: Path, **env: str) -> dict[str, Any]:
    done = run(IMPORT, folder, **env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_fresh_clone_stays_as_it_is(tmp_path):
    found = imported(tmp_path / "dev")
    assert found["seen"] == []
    assert found["same"]
    assert not (tmp_path / "dev").exists()


def test_the_file_is_read_and_the_environment_stays_as_it_is(tmp_path):
    file = tmp_path / "env"
    file.write_text("REDIS_URL=redis://from-file:1/0\nAWS_ACCESS_KEY_ID=for-a-library\n")
    found = imported(tmp_path / "dev", ENV_FILE=str(file))
    assert found["redis"] == "redis://from-file:1/0"
    assert found["seen"] == []
    assert found["same"]


@pytest.mark.parametrize("held", [True, False])
def test_an_address_that_a_start_script_left_counts_while_its_process_lives_and_nobody_is_asked(tmp_path, held):
    file = tmp_path / "redis_url"
    with socket.create_server(("127.0.0.1", 0)) as server, file.open("w+") as lock:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        lock.write(f"{url}\n")
        lock.flush()
        if held:
            fcntl.flock(lock, fcntl.LOCK_EX)
        found = imported(tmp_path)
    # Somebody answers there in both cases; but what a killed script left is not ours any more.
    assert found["redis"] == (url if held else "redis://127.0.0.1:6379/0")
    assert found["seen"] == []
    assert found["same"]


@pytest.mark.slow
@pytest.mark.parametrize("held", [True, False])
def test_a_port_that_a_start_script_left_counts_while_its_process_lives(tmp_path, held):
    asked = ("s.PORT", "s.FLOWER_URL", *of_downloads("s.DOWNLOAD_SOURCE_URL.split('/')[2]"))
    code = f"import django_starter.settings as s; print({', '.join(asked)})"

    def told(port: int, flower: int) -> list[str]:
        return [str(port), f"http://localhost:{flower}", *of_downloads(f"127.0.0.1:{port}")]

    with (tmp_path / "port").open("w+") as lock, (tmp_path / "flower_port").open("w+") as other:
        for file, port in ((lock, 8123), (other, 8124)):
            file.write(f"{port}\n")
            file.flush()
            if held:
                fcntl.flock(file, fcntl.LOCK_EX)
        assert run(code, tmp_path).stdout.split() == (told(8123, 8124) if held else told(8001, 8054))
        assert run(code, tmp_path, PORT="9001", FLOWER_PORT="9002").stdout.split() == told(9001, 9002)


def test_the_broker_that_celery_was_told_of_is_left_alone(tmp_path):
    url = "amqps://rabbit.example.com//?ssl_ca_certs=/etc/ca.pem"
    found = imported(tmp_path, BROKER_URL=url, CELERY_BROKER_URL=url)
    assert found["seen"] == []
    assert found["same"]


def test_celery_gets_the_brokers_address_without_what_kombu_cannot_read(tmp_path):
    url = "amqps://rabbit.example.com//?ssl_ca_certs=/etc/ca.pem"
    code = "from django_starter.celery import app; print(app.conf.broker_write_url)"
    done = run(code, tmp_path, BROKER_URL=url, CELERY_BROKER_URL=url)
    assert done.stdout.strip() == "amqps://rabbit.example.com//", done.stderr


@pytest.mark.slow
def test_what_a_process_writes_into_is_there_once_django_is_set_up(tmp_path):
    file = tmp_path / "env"
    file.write_text("AWS_ACCESS_KEY_ID=for-a-library\nREDIS_PREFIX=from-file\n")
    code = "import os, django; django.setup(); print(os.environ['AWS_ACCESS_KEY_ID'], os.environ['REDIS_PREFIX'])"
    done = run(code, tmp_path / "new" / "dev", ENV_FILE=str(file), REDIS_PREFIX="mine")
    assert done.stdout.split() == ["for-a-library", "mine"], done.stderr
    assert (tmp_path / "new" / "dev" / "staticfiles").is_dir()
    assert not (tmp_path / "new" / "dev" / "secret_key").exists()  # nobody needed it


@pytest.mark.slow
def test_a_secret_key_is_made_when_it_is_first_needed_and_is_the_same_for_everybody(tmp_path):
    code = "import django; django.setup(); from django.core import signing; print(signing.{})"
    done = run(code.format("dumps('hello')"), tmp_path / "dev")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "dev" / "secret_key").read_text()) > 50
    signed = done.stdout.strip()
    assert run(code.format(f"loads({signed!r})"), tmp_path / "dev").stdout.strip() == "hello"


@pytest.mark.slow
def test_a_fresh_clone_migrates(tmp_path):
    code = "import django; django.setup(); from django.core.management import call_command as call; call('migrate')"
    done = run(code, tmp_path / "dev")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dev" / "db.sqlite3").is_file()
