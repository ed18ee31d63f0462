"""`python -m django_starter.serve.valkey`: the embedded Valkey, with its data in DEV_DIR/valkey, on VALKEY_PORT."""

from __future__ import annotations

import os

from django_starter.dev.valkey import valkey_command
from django_starter.environment import DEV_DIR, number

FOLDER = DEV_DIR / "valkey"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = valkey_command(FOLDER, number("VALKEY_PORT", 6379, 1, 65_535))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
