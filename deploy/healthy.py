"""Whether the process of this container is well: exits with 0 or 1. `deploy/healthy.py [web|worker|flower]`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request


def answers(port: str, path: str) -> bool:
    """Whether the server on this machine answers 200, or asks for a password, to a host that it serves."""
    host = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].strip().lstrip(".*") or "localhost"
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=4):
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401
    except OSError:
        return False


def works() -> bool:
    """Whether the worker of this container answers over the broker."""
    name = f"worker@{socket.gethostname()}"
    command = [sys.executable, "-m", "celery", "-A", "django_starter", "inspect", "ping", "-d", name, "-t", "5"]
    return subprocess.run(command, capture_output=True, timeout=20).returncode == 0


def main(role: str) -> int:
    """The exit code for Docker and for a probe."""
    if role == "worker":
        return 0 if works() else 1
    if role == "flower":
        return 0 if answers(os.environ.get("FLOWER_PORT") or "8054", "/healthcheck") else 1
    return 0 if answers(os.environ.get("PORT") or "8001", "/health/ready") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "web"))
