"""What a process of this project needs before it works. Importing the settings makes none of it."""

from __future__ import annotations

from django.conf import settings

from . import environment


def prepare() -> None:
    """Make the folders that are written into, and put `.env` into the environment of this process.

    Called when Django is set up, and so by manage.py, the web servers, a worker and pytest. The secret key is made
    where it is first used.
    """
    environment.export()
    environment.DEV_DIR.mkdir(parents=True, exist_ok=True)
    settings.STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise warns of one that is not there
