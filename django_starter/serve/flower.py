"""`python -m django_starter.serve.flower`: Flower on this machine alone, with a password, only to look at."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from django_starter.environment import DEV_DIR, flag, made_once, number, text

#: Who may look; the password stands in the file, or in FLOWER_PASSWORD.
USER = "flower"
PASSWORD_FILE = DEV_DIR / "flower_password"


def flower_password() -> tuple[str, bool]:
    """Flower's password, and whether it was made just now: then somebody has to be told."""
    if given := text("FLOWER_PASSWORD"):
        return given, False
    new = not Path(PASSWORD_FILE).exists()
    return made_once(PASSWORD_FILE, 18), new


def main() -> None:
    # As environment, not as arguments: everybody on the machine can read a command line.
    os.environ |= {
        "FLOWER_BASIC_AUTH": f"{USER}:{flower_password()[0]}",
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": str(number("FLOWER_PORT", 8054, 1, 65_535)),
        # Who may look may not yet stop workers and start tasks: FLOWER_READ_ONLY=0 lets them.
        "FLOWER_READ_ONLY": "1" if flag("FLOWER_READ_ONLY", True) else "0",
    }
    command = [sys.executable, "-m", "celery", "-A", "django_starter", "flower", "--logging=warning"]
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
