"""Ports: a free one, and a clear word about one that is taken."""

from __future__ import annotations

import random
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

from django_starter.errors import Trouble

#: Where free ports are looked for: below the range from which Linux (32768) and macOS (49152) take the local ports of
#: outgoing connections, so that a server that is started again finds its port free.
FREE_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port of the loopback interface on which no program listens."""
    # Tries at random, so that programs that look at the same time do not find the same one.
    for _ in range(200):
        port = random.choice(FREE_PORTS)
        if is_free(port):
            return port
    raise Trouble(f"No free port was found between {FREE_PORTS.start} and {FREE_PORTS.stop}.")


def is_free(port: int) -> bool:
    """True if a server could listen on `port` of the loopback interface, and no program answers there."""
    # Both questions are needed: macOS lets us bind 127.0.0.1 beside a server that listens on all interfaces, and a
    # server on [::1] would get the browser's first try for "localhost".
    for host in ("127.0.0.1", "::1"):
        try:
            socket.create_connection((host, port), timeout=0.5).close()
        except OSError:
            continue
        return False
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does: TIME_WAIT is no obstacle
        try:
            server.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise Trouble(f"This user may not listen on port {port}: choose one above 1023.") from error
        except OSError:
            return False
    return True


def answers(url: str) -> bool:
    """True if something accepts a TCP connection at the address of `url` within 0.3 s."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=0.3):
            return True
    except OSError:
        return False


def http_answers(port: int) -> bool:
    """True if a web server answers on `port`, whatever it says."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy does not know our localhost
    try:
        opener.open(f"http://127.0.0.1:{port}/", timeout=1.5).close()
    except urllib.error.HTTPError as error:
        error.close()  # also an answer
    except OSError:
        return False
    return True


def port_of(environ: Mapping[str, str], name: str, default: int) -> int:
    """The port that the variable `name` asks for. Raises Trouble when it is none."""
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65_535):
        raise Trouble(f"{name}={text!r} is not a port: give a number from 1 to 65535.")
    return int(text)
