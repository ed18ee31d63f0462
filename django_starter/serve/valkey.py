"""`python -m django_starter.serve.valkey`: the embedded Valkey, with its data in DEV_DIR/valkey, on VALKEY_PORT."""

from __future__ import annotations

import os

from django_starter import redis_file
from django_starter.environment import REDIS_URL_FILE, number
from django_starter.processes.valkey import VALKEY_FOLDER, valkey_command


def main() -> None:
    VALKEY_FOLDER.mkdir(parents=True, exist_ok=True)
    port = number("VALKEY_PORT", 6379, 1, 65_535)
    command = valkey_command(VALKEY_FOLDER, port)
    # For shells beside this one. The server inherits the lock, so the address counts for as long as it lives.
    os.set_inheritable(redis_file.leave(REDIS_URL_FILE, f"redis://127.0.0.1:{port}/0"), True)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
