"""A database of its own for each stack, where TEST_DATABASE_URL names a PostgreSQL server instead of SQLite.

`TEST_DATABASE_URL=postgres://user@127.0.0.1:5432/postgres`: the user must be allowed to create databases.
"""

from __future__ import annotations

import os
import secrets
from urllib.parse import urlsplit, urlunsplit


def fresh(url: str) -> str:
    """The address of a database beside that of `url`, which does not exist yet."""
    return urlunsplit(urlsplit(url)._replace(path=f"/faults_{secrets.token_hex(4)}"))


def create(url: str) -> None:
    """Make the database that `url` names."""
    _execute(f'CREATE DATABASE "{_name(url)}"')


def drop(url: str) -> None:
    """Remove it, whoever is still connected."""
    _execute(f'DROP DATABASE IF EXISTS "{_name(url)}" WITH (FORCE)')


def _execute(sql: str) -> None:
    import psycopg  # only where it is asked for

    with psycopg.connect(os.environ["TEST_DATABASE_URL"], autocommit=True) as server:
        server.execute(sql.encode())


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")
