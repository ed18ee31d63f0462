"""A real RabbitMQ, where TEST_BROKER=rabbitmq asks for it: one for each test that breaks it, one for all others.

Debian's package is enough (`apt-get install rabbitmq-server`); the service that it installs is not used.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kombu

from django_starter.processes.guard import Guard
from django_starter.processes.ports import free_port

from .process import Process

#: Debian's `rabbitmqctl` and `rabbitmq-server` of the PATH change to a user of their own; these are what they call.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
USER = "guest"

CONFIG = """
listeners.tcp.1 = 127.0.0.1:{port}
loopback_users = none
log.console.level = warning
"""

#: Milliseconds between two looks at who has not acknowledged for too long; a minute otherwise.
ADVANCED = "[{rabbit, [{channel_tick_interval, 500}]}]."


def program(name: str) -> str:
    """The path of one of RabbitMQ's programs."""
    return str(PROGRAMS / name) if (PROGRAMS / name).exists() else name


class Epmd(Process):
    """Erlang's port mapper: `rabbitmqctl` asks it where a node is. Without ours, each node leaves one behind."""

    def __init__(self, folder: Path, **process: Any) -> None:
        self.port = free_port()
        command = ["epmd", "-address", "127.0.0.1", "-port", str(self.port)]
        super().__init__("epmd", command, cwd=folder, ready=self._listens, **process)

    def _listens(self) -> bool:
        asked = subprocess.run(["epmd", "-port", str(self.port), "-names"], capture_output=True, check=False)
        return asked.returncode == 0


class RabbitMQ(Process):
    """A node of its own, with or without the data it had. `url` is that of its first vhost."""

    def __init__(self, folder: Path, epmd: Epmd, **process: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = self.url_of("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rabbitmq.conf").write_text(CONFIG.format(port=self.port))
        (folder / "advanced.config").write_text(ADVANCED)
        (folder / "enabled_plugins").write_text("[].")
        kept = {key: value for key, value in process["env"].items() if not key.startswith("RABBITMQ_")}
        process["env"] = kept | {
            "HOME": str(folder),  # for the cookie
            "ERL_EPMD_PORT": str(epmd.port),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the server, so a signal reaches it
        }
        super().__init__(
            "rabbitmq", [program("rabbitmq-server")], cwd=folder, ready=lambda: answers(self.url), **process
        )

    def configure(self, *lines: str) -> None:
        """More of `rabbitmq.conf`, before its start."""
        with (self.folder / "rabbitmq.conf").open("a") as config:
            config.writelines(f"{line}\n" for line in lines)

    def start(self, timeout: float = 60.0, *, wait: bool = True) -> None:
        super().start(timeout, wait=wait)

    def wait_ready(self, timeout: float = 60.0) -> None:
        super().wait_ready(timeout)

    def url_of(self, vhost: str) -> str:
        return f"amqp://{USER}:{USER}@127.0.0.1:{self.port}/{vhost}"

    def new_vhost(self, name: str) -> str:
        """The address of a vhost that is empty."""
        self.control("add_vhost", name)
        self.control("set_permissions", "-p", name, USER, ".*", ".*", ".*")
        return self.url_of(name)

    def control(self, *arguments: str) -> str:
        """`rabbitmqctl …`; what it printed."""
        command = [program("rabbitmqctl"), "--quiet", *arguments]
        done = subprocess.run(command, env=self._env, cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    # --- what Valkey can be told as well ------------------------------------------------------------------------------

    def stop(self, timeout: float = 60.0) -> None:
        super().stop(timeout)

    def restart(self, *, keep_data: bool = True, kill: bool = False) -> None:
        """At the same address; `kill` as a power cut does it, without `keep_data` as a machine that is set up anew."""
        self.kill() if kill else self.stop()
        if not keep_data:
            self.wipe()
        self.start()

    def wipe(self) -> None:
        """Delete its data. Only while it is stopped."""
        assert not self.alive
        shutil.rmtree(self.folder / "data")

    def flush(self) -> None:
        """Throw away what waits in its queues; connections live on."""
        with kombu.Connection(self.url) as connection, connection.channel() as channel:
            kombu.Queue("celery", channel=channel).purge()

    def fill(self) -> None:
        """Nothing more fits in: it blocks those who publish."""
        self.control("set_vm_memory_high_watermark", "absolute", "1")

    def drain(self) -> None:
        """There is room again."""
        self.control("set_vm_memory_high_watermark", "0.4")


class Vhost:
    """A stack's share of a RabbitMQ that other stacks use as well: nobody may break it."""

    def __init__(self, url: str) -> None:
        self.url = url


def answers(url: str) -> bool:
    """True if a RabbitMQ at `url` lets us in."""
    try:
        with kombu.Connection(url, connect_timeout=2) as connection:
            connection.connect()
    except OSError:
        return False
    return True


class Rabbits:
    """All of a test run, in `folder`. Nothing runs until it is asked for."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        self._folder = folder
        self._guard = guard
        self._epmd: Epmd | None = None
        self._shared: RabbitMQ | None = None
        self._vhosts = itertools.count(1)

    def share(self) -> Vhost:
        """A vhost in the RabbitMQ that all share."""
        if self._shared is None:
            self._shared = self.make(self._folder / "shared", env=os.environ, log_path=self._folder / "shared.log")
            self._shared.start()
        return Vhost(self._shared.new_vhost(f"stack{next(self._vhosts)}"))

    def make(self, folder: Path, **process: Any) -> RabbitMQ:
        """One to be broken, not started yet. The caller ends it."""
        if self._epmd is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            log = self._folder / "epmd.log"
            self._epmd = Epmd(self._folder, env=os.environ, log_path=log, guard=self._guard)
            self._epmd.start()
        return RabbitMQ(folder, self._epmd, **{"guard": self._guard, **process})

    def close(self) -> None:
        for process in (self._shared, self._epmd):
            if process is not None:
                process.kill()
