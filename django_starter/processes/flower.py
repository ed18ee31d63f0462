"""Flower's account, the name and the password that let people look at it; and the path that it is below."""

from __future__ import annotations

from urllib.parse import urlsplit

from django_starter.environment import DEV_DIR, made_once, text

#: The one user; the password is in the file, or in FLOWER_PASSWORD.
USER = "flower"
PASSWORD_FILE = DEV_DIR / "flower_password"


def flower_password() -> tuple[str, bool]:
    """Flower's password, and whether it was made just now: then a person has to be told."""
    if given := text("FLOWER_PASSWORD"):
        return given, False
    new = not PASSWORD_FILE.exists()
    return made_once(PASSWORD_FILE, 18), new


def flower_prefix() -> str:
    """The path of its host that Flower is below, or "" for the root: FLOWER_URL_PREFIX, else FLOWER_URL's."""
    return (text("FLOWER_URL_PREFIX") or urlsplit(text("FLOWER_URL")).path).strip("/")
