#!/usr/bin/env python
"""Django's command line, for this project's settings."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_starter.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit(
            "Django is not installed in this Python. Run ./start_dev.sh once (it makes .venv), "
            "then: source .venv/bin/activate"
        ) from error
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
