"""A primary, its replica and a Sentinel that watches them: real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from django_starter.processes.ports import free_port
from tests.waiting import wait_until

from .process import Process
from .stack import Valkey

#: The name under which the Sentinel knows them.
MASTER = "tasks"
#: Milliseconds of silence after which the primary is given up; 30 s by default.
DOWN_AFTER = 1_000


class Sentinel(Process):
    """One that decides alone."""

    def __init__(self, folder: Path, primary: Valkey, password: str, **process: Any) -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "sentinel.conf"  # it writes into it what it learns
        config.write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {folder}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {primary.port} 1\n"
            f"sentinel auth-pass {MASTER} {password}\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )
        command = [primary.command[0], str(config), "--sentinel"]
        super().__init__("sentinel", command, cwd=folder, ready=self._knows_the_replica, **process)

    def primary(self) -> int:
        """The port of the server that is the primary now."""
        with redis.Redis(port=self.port, decode_responses=True, socket_timeout=2) as client:
            address: Any = client.sentinel_get_master_addr_by_name(MASTER)
        return int(address[1])

    def _knows_the_replica(self) -> bool:
        try:
            with redis.Redis(port=self.port, decode_responses=True, socket_timeout=2) as client:
                found: Any = client.sentinel_slaves(MASTER)
        except redis.RedisError:
            return False
        return any(one["master-link-status"] == "ok" for one in found if "master-link-status" in one)


def guarded(valkey: Valkey, password: str, *, replica_of: Valkey | None = None) -> Valkey:
    """Before its start: it wants `password`, which stands in its `url` as well, and may be a replica."""
    valkey.command += ["--requirepass", password, "--masterauth", password]
    if replica_of:
        valkey.command += ["--replicaof", "127.0.0.1", str(replica_of.port)]
    valkey.url = f"redis://:{password}@127.0.0.1:{valkey.port}/0"
    return valkey


def wait_for_failover(sentinel: Sentinel, replica: Valkey, timeout: float = 20.0) -> None:
    """Until the Sentinel names `replica`, and that one takes what is written."""

    def done() -> bool:
        try:
            with replica.client() as client:
                role: Any = client.role()
        except redis.RedisError:  # who becomes the primary hangs up on everybody
            return False
        return sentinel.primary() == replica.port and role[0] == "master"

    wait_until(done, timeout, sentinel.log)
