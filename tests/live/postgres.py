"""A database of its own for each stack, where TEST_DATABASE_URL names a PostgreSQL server instead of SQLite.

`TEST_DATABASE_URL=postgres://user@127.0.0.1:5432/postgres`: the user must be allowed to create databases.
A test that breaks its server has one of its own: `Postgres`. Debian's package is enough (`apt-get install postgresql`);
the service that it installs is not used.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil

from django_starter.processes.ports import free_port
from tests.waiting import wait_until

from .process import Process

#: Who runs the server, where the tests are run by root: PostgreSQL refuses to.
USER = "postgres"


def fresh(url: str) -> str:
    """The address of a database beside that of `url`, which does not exist yet."""
    return urlunsplit(urlsplit(url)._replace(path=f"/faults_{secrets.token_hex(4)}"))


def create(url: str) -> None:
    """Make the database that `url` names."""
    _execute(url, f'CREATE DATABASE "{_name(url)}"')


def drop(url: str) -> None:
    """Remove it, whoever is still connected. One in a server of the test's own goes with that."""
    if _is_given(url):
        _execute(url, f'DROP DATABASE IF EXISTS "{_name(url)}" WITH (FORCE)')


def _execute(url: str, sql: str) -> None:
    import psycopg  # only where it is asked for

    given = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    server_url = os.environ["TEST_DATABASE_URL"] if _is_given(url) else given
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.encode())


def _is_given(url: str) -> bool:
    """True if the server is the one that TEST_DATABASE_URL names, not a test's own."""
    return urlsplit(url).netloc == urlsplit(os.environ.get("TEST_DATABASE_URL", "")).netloc


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


class Postgres(Process):
    """A server of a test's own, with an empty cluster in `folder`."""

    def __init__(self, folder: Path, **process: Any) -> None:
        self.port = free_port()
        programs = _programs()
        as_user: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
            shutil.chown(folder, USER, USER)
        data = folder / "data"
        init = [*as_user, str(programs / "initdb"), "-D", str(data), "-U", USER, "-A", "trust", "-N", "-E", "UTF8"]
        done = subprocess.run(init, cwd=folder, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        command = [*as_user, str(programs / "postgres"), "-D", str(data)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        super().__init__("postgres", command, cwd=folder, ready=self.answers, **process)

    def url(self, port: int | None = None, name: str = "site") -> str:
        """The address of the database `name`, at `port` where something stands in between."""
        return f"postgres://{USER}@127.0.0.1:{port or self.port}/{name}"

    def answers(self) -> bool:
        """True if it lets somebody in."""
        import psycopg

        try:
            with psycopg.connect(self.url(name="postgres"), connect_timeout=2) as server:
                server.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _signal_all(self, number: int) -> None:
        for child in self.children():  # each has a session of its own
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(number)
        super()._signal_all(number)

    def stop(self, timeout: float = 15.0) -> None:
        """As `systemctl stop` does it: connections are told, then closed."""
        self.signal(signal.SIGINT)
        wait_until(lambda: not self.alive, timeout, lambda: f"postgres ends:\n{self.log()}", every=0.01)
        self.kill()


def _programs() -> Path:
    """Where initdb and postgres are: Debian has them outside of the PATH."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda one: int(one.parts[-3]))
    assert versions, "There is no PostgreSQL: apt-get install postgresql"
    return versions[-1].parent
