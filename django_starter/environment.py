"""What the settings need to know of the place they run in: the folder of this checkout's own files, and its Redis."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from urllib.parse import urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent

#: Everything a running checkout writes stands in this folder: database, embedded Valkey, secret key, logs.
DEV_DIR = Path(os.environ.get("DEV_DIR") or BASE_DIR / ".dev").resolve()

#: `start_dev.sh` leaves the address of the server that it found or started here, for shells beside it.
REDIS_URL_FILE = DEV_DIR / "redis_url"

#: Where a Redis stands when nobody says otherwise.
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"


def redis_url() -> str:
    """The address of Redis: REDIS_URL, else the one `start_dev.sh` left (while it answers), else localhost:6379."""
    if url := os.environ.get("REDIS_URL"):
        return url
    try:
        url = REDIS_URL_FILE.read_text().strip()
    except OSError:
        return DEFAULT_REDIS_URL
    # A start_dev.sh that was killed leaves its file behind; its server is gone, so the file says nothing.
    return url if url and answers(url) else DEFAULT_REDIS_URL


def answers(url: str) -> bool:
    """True if something accepts a TCP connection at the address of `url` within 0.3 s."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=0.3):
            return True
    except OSError:
        return False


def secret_key() -> str:
    """A secret key of this checkout, made once into a private file that git ignores."""
    path = DEV_DIR / "secret_key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        DEV_DIR.mkdir(parents=True, exist_ok=True)
    try:
        # O_EXCL: of two processes that start at once, one makes the key and the other reads it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    key = secrets.token_urlsafe(50)
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
    return key
