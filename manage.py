#!/usr/bin/env python
"""Django's command line, for this project's settings."""

import json
import os
import sys
from typing import NoReturn


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_starter.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError as error:
        raise SystemExit(
            "Django is not installed in this Python. Run ./start_dev.sh once (it makes .venv), "
            "then: source .venv/bin/activate"
        ) from error
    try:
        execute_from_command_line(sys.argv)
    except (ImportError, ImproperlyConfigured) as error:
        if sys.argv[1:2] == ["doctor"]:
            explain_failed_import(error)
        raise


def explain_failed_import(error: Exception) -> NoReturn:
    """`doctor` itself cannot be loaded: end with the reason, in the form of its findings."""
    name, hint = "settings", "# .env.example lists every setting with what is allowed"
    if isinstance(error, ImportError):
        name, hint = "packages", f"{sys.executable} -m pip install -r requirements.txt"
    finding = {"name": name, "status": "failed", "detail": str(error), "hint": hint, "milliseconds": None}
    if "--json" in sys.argv:
        print(json.dumps({"status": "failed", "checks": [finding]}))
    else:
        print(f"FAILED   {name:<13}{error}\n{'':<22}→ {hint}")
    sys.exit(1)


if __name__ == "__main__":
    main()
