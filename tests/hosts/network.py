"""Machines with addresses of their own on one machine: Linux network namespaces around a bridge. Needs root."""

from __future__ import annotations

import os
import random
import subprocess
from contextlib import suppress


def ip(*arguments: str) -> None:
    """Run `ip …`; raises with what it printed."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


class Host:
    """One machine: its address, and the words that go before a command that shall run there."""

    def __init__(self, network: Network, name: str, number: int) -> None:
        self.name = name
        self.address = f"{network.prefix}.{number}"
        self.namespace = f"{network.tag}-{name}"
        self.port = f"p-{name}"
        self._switch = network.switch
        ip("netns", "add", self.namespace)
        ip(
            *("-n", network.switch, "link", "add", self.port, "type", "veth"),
            *("peer", "name", "eth0", "netns", self.namespace),
        )
        ip("-n", self.namespace, "addr", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.namespace, "link", "set", "eth0", "up")
        ip("-n", self.namespace, "link", "set", "lo", "up")
        ip("-n", network.switch, "link", "set", self.port, "master", "br0", "up")

    @property
    def there(self) -> list[str]:
        """`[*host.there, "celery", …]` runs there, under the same process id."""
        return ["ip", "netns", "exec", self.namespace]

    def cut(self) -> None:
        """Pull the plug of its network: nothing goes in or out, nobody is told."""
        ip("-n", self._switch, "link", "set", self.port, "down")

    def join(self) -> None:
        """Put the plug back."""
        ip("-n", self._switch, "link", "set", self.port, "up")


class Network:
    """A switch with the machine of the test itself on it; `add` puts hosts beside it. `close` takes all away."""

    def __init__(self) -> None:
        self.tag = f"ds{os.getpid()}"
        self.prefix = f"10.{random.randint(100, 250)}.{random.randint(0, 250)}"
        self.switch = f"{self.tag}-switch"
        self._hosts: list[Host] = []
        ip("netns", "add", self.switch)
        try:
            ip("-n", self.switch, "link", "add", "br0", "type", "bridge")
            ip("-n", self.switch, "link", "set", "br0", "up")
            ours = self.tag
            ip("link", "add", ours, "type", "veth", "peer", "name", "p-tests", "netns", self.switch)
            ip("addr", "add", f"{self.prefix}.1/24", "dev", ours)
            ip("link", "set", ours, "up")
            ip("-n", self.switch, "link", "set", "p-tests", "master", "br0", "up")
        except BaseException:
            self.close()
            raise

    def add(self, name: str) -> Host:
        """A new machine on the switch."""
        host = Host(self, name, 10 + len(self._hosts))
        self._hosts.append(host)
        return host

    def close(self) -> None:
        """Remove the namespaces; their links go with them."""
        for namespace in [*(host.namespace for host in self._hosts), self.switch]:
            with suppress(RuntimeError):
                ip("netns", "del", namespace)
