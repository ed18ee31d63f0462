"""The environment, read once: what is set is taken or refused by name, and what is not set has a safe default.

`.env` in the checkout (or the file that ENV_FILE names) counts as environment; what is really set goes before it.
`.env.example` lists every name.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from functools import cache
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import lazy

from . import redis_file

#: The package of the settings and of the Celery app: what follows `celery -A`.
PROJECT = "django_starter"

BASE_DIR = Path(__file__).resolve().parent.parent


def read_file(path: Path) -> dict[str, str]:
    """The names and values in the file; none where there is no such file."""

    class File(environ.Env):
        ENVIRON: dict[str, str] = {}  # where django-environ puts what it reads: os.environ, unless it is told otherwise

    if path.is_file():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "=" not in line and line.strip() and not line.lstrip().startswith("#"):
                raise ImproperlyConfigured(f"{path.name}, line {number}: expected NAME=value, but got {line[:40]!r}.")
        File.read_env(path)
    return File.ENVIRON


def _read() -> tuple[dict[str, str], str]:
    """What is in `.env`, and why it cannot be read: a program that has just begun to load cannot tell people yet."""
    path = Path(os.environ.get("ENV_FILE") or BASE_DIR / ".env")
    try:
        return read_file(path), ""
    except ImproperlyConfigured as error:
        return {}, str(error)
    except (OSError, ValueError) as error:
        return {}, f"{path} cannot be read: {error}"


_FILE, _UNREADABLE = _read()


def export() -> None:
    """Put the file into the environment of this process: for its children, and for libraries that look there.

    Such as AWS_ACCESS_KEY_ID, which no setting of ours names.
    """
    if _UNREADABLE:
        raise ImproperlyConfigured(_UNREADABLE)
    for name, value in _FILE.items():
        os.environ.setdefault(name, value)


def _value(name: str) -> str:
    return os.environ.get(name, _FILE.get(name, ""))


#: Everything that a running checkout writes is in this folder: database, embedded Valkey, secret key, logs.
DEV_DIR = Path(_value("DEV_DIR") or BASE_DIR / ".dev").resolve()

#: `start_dev.sh` and `start_all_services.sh` leave the address of the server that they found or started here, for
#: shells beside them.
REDIS_URL_FILE = DEV_DIR / "redis_url"

#: They, and the servers themselves, leave their ports here in the same way: {PORT: file}.
PORT_FILES = {"PORT": DEV_DIR / "port", "FLOWER_PORT": DEV_DIR / "flower_port"}
PORTS = {"PORT": 8001, "FLOWER_PORT": 8054}

#: Where Redis is when no setting says otherwise.
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"

#: Hosts under which only this machine reaches itself.
THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]")

#: The first words of this site's own addresses. Below one of these nobody could tell whether a proxy has stripped it.
OWN_WORDS = frozenset(("admin", "api", "downloads", "health", "login", "logout", "metrics", "runs", "tasks")) | {
    *("sample-source", "schedules", "static", "ws")
}

#: Characters, and different ones, of a SECRET_KEY that cannot be guessed: those of Django's own `check --deploy`.
KEY_LENGTH, KEY_VARIETY = 50, 5

#: Characters of RELEASE, and those that are shown of a commit.
RELEASE_LENGTH, COMMIT_LENGTH = 64, 7

DATABASE_SCHEMES = ("sqlite", "postgres", "postgresql")
#: A machine that is gone says nothing; without these libpq waits for it for two hours. Seconds, the last in ms.
POSTGRESQL_OPTIONS: dict[str, object] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}
REDIS_SCHEMES = ("redis", "rediss", "unix", "sentinel")
BROKER_SCHEMES = (*REDIS_SCHEMES, "amqp", "amqps")
#: Of these there may be several, with semicolons between them.
SEVERAL = ("sentinel", "amqp", "amqps")

_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def text(name: str, default: str = "") -> str:
    """The value of `name`; one that is empty is not set. Raises ImproperlyConfigured where `.env` cannot be read."""
    if _UNREADABLE and name not in os.environ:
        raise ImproperlyConfigured(_UNREADABLE)
    return _value(name).strip() or default


def flag(name: str, default: bool) -> bool:
    """On or off. Raises ImproperlyConfigured for anything else: a misspelt `DEBUG=flase` must not turn it on."""
    value = text(name).lower()
    if not value:
        return default
    if value not in _YES + _NO:
        raise ImproperlyConfigured(f"{name} must be 1 or 0 (or true, yes, on, false, no, off), but got {value!r}.")
    return value in _YES


def number(name: str, default: int, least: int, most: int) -> int:
    """A whole number within its limits. Raises ImproperlyConfigured for anything else."""
    value = text(name)
    if not value:
        return default
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        raise ImproperlyConfigured(f"{name} must be a whole number from {least} to {most}, but got {value!r}.")
    return int(value)


def server_port(name: str) -> int:
    """PORT or FLOWER_PORT: as set, else of the server that runs here, else as usual. Raises ImproperlyConfigured."""
    left = redis_file.read(PORT_FILES[name])
    return number(name, int(left) if left.isascii() and left.isdigit() else PORTS[name], 1, 65_535)


def words(name: str, default: list[str] | None = None) -> list[str]:
    """Words with commas between them."""
    found = [word.strip() for word in text(name).split(",")]
    return [word for word in found if word] or list(default or [])


def json_object(name: str) -> dict[str, object]:
    """A JSON object. Raises ImproperlyConfigured for anything else; the message shows no password."""
    try:
        found = json.loads(text(name, "{}"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f'{name} must be a JSON object, like {{"bucket_name": "reports"}}.')
    return found


def choice(name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`, the first by default. Raises ImproperlyConfigured for anything else."""
    value = text(name, choices[0])
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, but got {value!r}.")
    return value


def release() -> str:
    """RELEASE, else the commit of the checkout, else nothing. Raises ImproperlyConfigured where it is too long."""
    value = text("RELEASE") or commit(BASE_DIR)
    if len(value) > RELEASE_LENGTH:
        raise ImproperlyConfigured(f"RELEASE must have at most {RELEASE_LENGTH} characters, but has {len(value)}.")
    return value


def commit(folder: Path) -> str:
    """The first characters of the commit that is checked out in `folder`; nothing where there is none to be read."""
    try:
        git = folder / ".git"
        if git.is_file():  # a further work tree
            git = folder / git.read_text().removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text().strip()
        if head.startswith("ref: "):
            head = _commit_of(git, head.removeprefix("ref: "))
    except (OSError, ValueError):
        return ""
    return head[:COMMIT_LENGTH] if re.fullmatch(r"[0-9a-f]{40,64}", head) else ""


def _commit_of(git: Path, ref: str) -> str:
    common = git / "commondir"
    folders = [git, *([git / common.read_text().strip()] if common.is_file() else [])]
    for folder in folders:
        if (folder / ref).is_file():
            return (folder / ref).read_text().strip()
    for folder in folders:
        packed = folder / "packed-refs"
        for line in packed.read_text().splitlines() if packed.is_file() else ():
            if line.endswith(f" {ref}"):
                return line.partition(" ")[0]
    return ""


def address(name: str, schemes: tuple[str, ...], default: str = "") -> str:
    """A URL of one of `schemes`. Raises ImproperlyConfigured for anything else; the message shows no password."""
    value = text(name, default)
    scheme, colon, _ = value.partition("://")
    if value and (not colon or scheme not in schemes):
        raise ImproperlyConfigured(
            f"{name} must begin with one of {', '.join(f'{one}://' for one in schemes)}, "
            f"but begins with {(scheme + colon if colon else value)[:12]!r}."
        )
    if scheme in SEVERAL and not all(one.startswith(f"{scheme}://") for one in value.split(";")):
        raise ImproperlyConfigured(
            f"{name} must have {scheme}:// before each of its servers; a semicolon in a password is written %3B."
        )
    return value


def database() -> dict[str, Any]:
    """Django's database for DATABASE_URL, by default SQLite in DEV_DIR."""
    url = address("DATABASE_URL", DATABASE_SCHEMES, f"sqlite:///{DEV_DIR / 'db.sqlite3'}")
    found = dict(environ.Env.db_url_config(url))
    if found["ENGINE"] == "django.db.backends.postgresql":
        found["ENGINE"] = f"{PROJECT}.postgresql"
        found["OPTIONS"] = POSTGRESQL_OPTIONS | found.get("OPTIONS", {})
    return found


def script_name() -> str | None:
    """FORCE_SCRIPT_NAME as Django wants it: "/app"; None for the root of the host. Raises ImproperlyConfigured."""
    value = text("FORCE_SCRIPT_NAME").rstrip("/")
    if not value:
        return None
    if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", value):
        raise ImproperlyConfigured(f"FORCE_SCRIPT_NAME must be a path such as /app, but got {value!r}.")
    if value.split("/")[1] in OWN_WORDS:
        raise ImproperlyConfigured(f"FORCE_SCRIPT_NAME may not begin with a word of the site's own, but got {value!r}.")
    return value


def site_url(origins: list[str], hosts: list[str], path: str, *, production: bool) -> str:
    """SITE_URL, else the first of the origins or hosts that are let in, with the site's path; no "/" at its end."""
    if value := address("SITE_URL", ("http", "https")):
        return value.rstrip("/")
    named = [one for one in origins if "*" not in one]
    host = next((host for host in hosts if not host.startswith(("*", "."))), THIS_MACHINE[0])
    local = f"http://{host}:{number('PORT', 8001, 1, 65535)}"
    return (named[0] if named else f"https://{host}" if production else local) + path


def redis_url() -> str:
    """The address of Redis: REDIS_URL, else the one that a running start script left, else localhost:6379."""
    return address("REDIS_URL", REDIS_SCHEMES) or redis_file.read(REDIS_URL_FILE) or DEFAULT_REDIS_URL


def secret_key(*, shared: bool) -> str:
    """SECRET_KEY, else one of this checkout, made when it is first used. Raises ImproperlyConfigured where it must be
    `shared`."""
    if key := text("SECRET_KEY"):
        if shared and (len(key) < KEY_LENGTH or len(set(key)) < KEY_VARIETY):
            raise ImproperlyConfigured(
                f"SECRET_KEY has {len(key)} characters, {len(set(key))} different ones; a site that others reach needs "
                f"{KEY_LENGTH}, {KEY_VARIETY} different ones: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
            )
        return key
    if shared:
        raise ImproperlyConfigured(
            "SECRET_KEY must be set: ALLOWED_HOSTS names more than this machine. Make one, once for all machines: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )
    path = DEV_DIR / "secret_key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        # Lazily, as a program that imports the settings only to read them needs no key.
        return lazy(cache(lambda: made_once(path, 50)), str)()


def made_once(path: Path, size: int) -> str:
    """The secret in the private file `path`; the first call makes it, of `size` random bytes."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    # Written whole under a name of its own, then linked: of two processes that start at once one wins, both read it.
    secret = secrets.token_urlsafe(size)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)
    try:
        os.link(new, path)
    except FileExistsError:
        pass
    finally:
        new.unlink()
    return path.read_text().strip()
