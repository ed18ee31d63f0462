"""Points the settings at folders of the tests before Django reads them, and offers what every level of tests needs."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Who starts the tests with nohup lets all that they start ignore it, and some tests send it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Before anything of the project is imported: a test must never see the database, the key or the Redis of a running
# ./start_dev.sh, nor what a shell has set for it.
DEV_DIR = Path(tempfile.mkdtemp(prefix="django_starter-tests-"))
atexit.register(shutil.rmtree, DEV_DIR, ignore_errors=True)
OURS = (
    "DOWNLOADS_ENGINE",
    *("PORT", "FLOWER_PORT", "REDIS_URL", "DATABASE_URL", "DEBUG", "SECRET_KEY", "ALLOWED_HOSTS"),
    *("CSRF_TRUSTED_ORIGINS", "BROKER_URL", "ASGI_SERVER", "TASKS_REQUIRE_LOGIN", "SAMPLE_SOURCE", "REDIS_PREFIX"),
    *("FORCE_SCRIPT_NAME", "FLOWER_URL", "FLOWER_URL_PREFIX", "RELEASE", "ALERT_URLS", "ALERT_WAIT", "SITE_URL"),
    *("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT"),
)
for name in OURS:
    os.environ.pop(name, None)
os.environ["DEV_DIR"] = str(DEV_DIR)
os.environ["DEMO_TASKS"] = "1"  # which the tests start
os.environ["ENV_FILE"] = os.devnull  # nor what a person has put into .env
os.environ["DJANGO_SETTINGS_MODULE"] = "django_starter.settings"
if given := os.environ.get("TEST_DATABASE_URL"):  # a PostgreSQL server; SQLite without it
    os.environ["DATABASE_URL"] = given

from django_starter.processes.ports import free_port  # noqa: E402

# Nobody listens there, so unit and integration tests run with Redis away, until one asks for `valkey`.
VALKEY_PORT = free_port()
os.environ["REDIS_URL"] = f"redis://127.0.0.1:{VALKEY_PORT}/0"

import django  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402

# Hundreds of tests sign somebody in: what makes a password hard to guess would be half of their time.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A client of Django's makes the middleware anew, and WhiteNoise would look at all static files each time.
settings.WHITENOISE_AUTOREFRESH = True
# What pytest-xdist starts inherits the environment: with this in it, the settings would be read before this file.
del os.environ["DJANGO_SETTINGS_MODULE"]

import hypothesis  # noqa: E402
import pytest  # noqa: E402

from django_starter.processes.guard import Guard  # noqa: E402
from django_starter.processes.valkey import answers_ping, valkey_command  # noqa: E402

from .downloads import DOWNLOADS  # noqa: E402
from .waiting import wait_until  # noqa: E402

# No test is timed: a busy machine makes the first of many examples slow.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

collect_ignore_glob = [] if DOWNLOADS else ["*/test_download*"]


#: Files of tests that take longest. They begin first: nobody waits for them at the end.
LONGEST = (
    "test_everything_at_once",
    "test_matrix",
    "test_redis_refuses",
    "test_pages_accessible",
    "test_security",
    "test_start_dev",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that compute evenly between the live ones, which wait: several at a time use the machine all along."""
    files = sorted(dict.fromkeys(item.path for item in items), key=lambda path: path.stem not in LONGEST)
    live, others = ([one for one in files if ("live" in one.parts) is wanted] for wanted in (True, False))
    place = {one: number / len(group) for group in (live, others) for number, one in enumerate(group)}
    items.sort(key=lambda item: place[item.path])


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard]:
    """Ends every process that the tests started, should the test run itself be killed."""
    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture(autouse=True)
def kept_in_transactions(monkeypatch) -> None:
    """A request that a test sends by itself, as a server does, closes no connection in the middle of its transaction.

    Django's own client sees to that. In SQLite's memory a connection is never closed; on PostgreSQL it would be.
    """
    from django.db.backends.base.base import BaseDatabaseWrapper

    close = BaseDatabaseWrapper.close_if_unusable_or_obsolete

    def outside_of_transactions(self: BaseDatabaseWrapper) -> None:
        if not self.in_atomic_block:
            close(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", outside_of_transactions)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> Iterator[None]:
    """The tests' database, which PostgreSQL drops only when no thread of a test has it open any more."""
    yield
    from django.db import connection

    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(scope="module")
def valkey_server(guard) -> Iterator[str]:
    """A real Valkey at the REDIS_URL of the settings, until the file's last test: for the next file Redis is away."""
    folder = DEV_DIR / "valkey"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    command = valkey_command(folder, VALKEY_PORT)
    command[0] = os.environ.get("TEST_REDIS_SERVER") or command[0]  # such as the distribution's redis-server
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    guard.watch(process.pid)
    url = os.environ["REDIS_URL"]
    wait_until(lambda: answers_ping(url), 10, lambda: "Valkey answers; " + (folder / "log").read_text())
    yield url
    process.kill()
    process.wait()
    guard.forget(process.pid)


@pytest.fixture
def valkey(valkey_server) -> Iterator[str]:
    """The address of a real, empty Valkey: the one that the settings name."""
    import redis

    with redis.Redis.from_url(valkey_server) as client:
        client.flushall()
    yield valkey_server
