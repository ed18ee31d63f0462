"""`python -m django_starter.serve.flower`: Flower on this machine alone, with a password, only to look at."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from django_starter import redis_file
from django_starter.environment import PORT_FILES, PROJECT, export, flag, number
from django_starter.processes.flower import USER, flower_password, flower_prefix


def main() -> None:
    export()
    # As environment, not as arguments: everybody on the machine can read a command line.
    os.environ |= {
        "FLOWER_BASIC_AUTH": f"{USER}:{flower_password()[0]}",
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(number("FLOWER_PORT", 8054, 1, 65_535)),
        # Its password lets people look; FLOWER_READ_ONLY=0 lets them stop workers and start tasks as well.
        "FLOWER_READ_ONLY": "1" if flag("FLOWER_READ_ONLY", True) else "0",
    }
    if prefix := flower_prefix():
        os.environ["FLOWER_URL_PREFIX"] = prefix
    command = [sys.executable, "-m", "celery", "-A", PROJECT, "flower", "--logging=warning"]
    with suppress(OSError):
        os.set_inheritable(redis_file.leave(PORT_FILES["FLOWER_PORT"], os.environ["FLOWER_PORT"]), True)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
