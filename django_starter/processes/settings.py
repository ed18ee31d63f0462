"""The settings, tried before anything is started: what they refuse is one sentence here, and a traceback in a child."""

from __future__ import annotations

import sys
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured

from django_starter.environment import PROJECT, export
from django_starter.errors import Trouble


def try_settings() -> None:
    """Read `.env` and import the settings, as every child will. Raises Trouble for what is refused.

    They are imported anew where they are needed: the address of Redis is not known yet.
    """
    name = f"{PROJECT}.settings"
    before = sys.modules.pop(name, None)
    try:
        export()
        import_module(name)
    except ImproperlyConfigured as error:
        raise Trouble(str(error)) from None
    except Exception as error:  # of a library that reads an address
        raise Trouble(
            f"A setting cannot be read ({type(error).__name__}: {error}). .env.example says how each is written."
        ) from None
    finally:
        sys.modules.pop(name, None)
        if before is not None:
            sys.modules[name] = before
