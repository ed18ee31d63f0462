"""`python -m django_starter.serve.web`: Daphne, or uvicorn with ASGI_SERVER=uvicorn, with this project's limits."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress

from django_starter import redis_file
from django_starter.environment import PORT_FILES, PORTS, PROJECT, choice, export, number, text

APPLICATION = f"{PROJECT}.asgi:application"

#: What ASGI_SERVER may be.
SERVERS = ("daphne", "uvicorn")

#: Bytes of a WebSocket frame from outside beyond which the server itself hangs up, without us. One that is smaller and
#: still too big gets an `error` frame (progress.messages.MAX_CLIENT_FRAME).
MAX_FRAME = 16 * 1024
#: Seconds between a server's own pings, and until one that is not answered ends the socket.
PING_INTERVAL, PING_TIMEOUT = 20, 30
#: Seconds that requests get to finish when the server has to end.
GRACE = 3
#: Connections that may wait to be accepted. Daphne's 50 made 1,000 sockets that came at once take 15 s instead of 1:
#: the kernel drops what does not fit, and the other side tries again after 1, 3 and 7 s.
BACKLOG = 1024
#: Files, so sockets, that the process may hold, where the system lets it. The usual limit is 1,024.
FILES = 65_536
#: Connections to PostgreSQL that one web process keeps at most.
POOL = 10


def web_command(server: str, host: str, port: int) -> list[str]:
    """The command line of `server`, for `host`:`port`."""
    if server == "uvicorn":
        options = {
            "host": host,
            "port": port,
            "ws-max-size": MAX_FRAME,
            "ws-ping-interval": PING_INTERVAL,
            "ws-ping-timeout": PING_TIMEOUT,
            "ws-per-message-deflate": "false",  # it would compress each frame again for each viewer
            "backlog": BACKLOG,
            "timeout-graceful-shutdown": GRACE,
            "log-level": "warning",
        }
        # X-Forwarded-For is read by tasks.limits, for both servers by the same rule.
        flags = ["--no-access-log", "--no-server-header", "--no-proxy-headers"]
    else:
        interface = host.strip("[]").replace(":", r"\:")  # as Twisted's endpoints want an IPv6 address
        options = {
            "endpoint": f"tcp:port={port}:interface={interface}:backlog={BACKLOG}",
            "websocket-max-message-size": MAX_FRAME,
            "websocket-max-frame-size": MAX_FRAME,
            "ping-interval": PING_INTERVAL,
            "ping-timeout": PING_TIMEOUT,
            "websocket_timeout": -1,  # a task may take days, and its viewer may stay
            "application-close-timeout": GRACE,
            "verbosity": 0,
        }
        flags = ["--no-server-name"]
    module = f"{PROJECT}.serve.{server}"
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [sys.executable, "-m", module, *arguments, *flags, APPLICATION]


def allow_many_files() -> None:
    """Raise this process's limit of open files towards `FILES`; it keeps what it has where that is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    export()
    port = number("PORT", PORTS["PORT"], 1, 65_535)
    command = web_command(choice("ASGI_SERVER", SERVERS), text("BIND", "127.0.0.1"), port)
    # For shells beside this one. The server inherits the lock, so the port counts for as long as it lives.
    with suppress(OSError):  # a folder that cannot be written has no such shells
        os.set_inheritable(redis_file.leave(PORT_FILES["PORT"], str(port)), True)
    allow_many_files()
    # A thread of a web process comes and goes; the pool keeps what it opened.
    os.environ.setdefault("DATABASE_POOL", str(POOL))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
