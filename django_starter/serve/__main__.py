"""`python -m django_starter.serve`: what `start_all_services.sh` becomes. Looks first, then becomes supervisord."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured

from django_starter.engines import worker_beside
from django_starter.environment import (
    BASE_DIR,
    BROKER_SCHEMES,
    DEFAULT_REDIS_URL,
    DEV_DIR,
    REDIS_SCHEMES,
    REDIS_URL_FILE,
    address,
    choice,
    flag,
    number,
    script_name,
    text,
)
from django_starter.errors import Trouble
from django_starter.processes.flower import PASSWORD_FILE, USER, flower_password, flower_prefix
from django_starter.processes.ports import free_port, is_free
from django_starter.processes.settings import try_settings
from django_starter.processes.valkey import VALKEY_FOLDER, answers_ping, server_in, shown

from .orphans import end_orphans
from .web import SERVERS

#: The control socket, as supervisord.conf names it.
SOCKET = BASE_DIR / ".dev" / "run" / "supervisor.sock"
#: Bytes that the path of a unix socket may have: 108 on Linux, 104 on macOS, and supervisord adds ".12345".
MAX_SOCKET_PATH = 96

MANAGE = [sys.executable, "manage.py"]


def main() -> int:
    try:
        prepare()
    except (Trouble, ImproperlyConfigured) as trouble:
        print(f"start_all_services: {trouble}", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(BASE_DIR / "supervisord.conf")]
    os.execv(command[0], command)


def prepare() -> None:
    """The whole story. What the services need to know is in the environment at its end; raises Trouble."""
    os.environ["DEV_DIR"] = str(DEV_DIR)
    os.environ.setdefault("LOG_FORMAT", "json")
    os.environ.setdefault("HASHED_STATIC", "1")
    os.umask(0o077)  # the database, the logs and what else is made now are this user's
    (DEV_DIR / "logs").mkdir(parents=True, exist_ok=True)
    try_settings()
    refuse_unfit_services()
    prepare_socket()
    if ended := end_orphans():
        left = ", ".join(f"{name} (process {pid})" for name, pid in sorted(ended.items()))
        print(f"Ended what an earlier start had left behind: {left}.", flush=True)
    refuse_taken_ports()
    manage("check", "--deploy", "--fail-level", "ERROR", trouble="The settings are not fit for this")
    os.environ["CHECKOUT"] = str(BASE_DIR)
    os.environ["FURTHER_SERVICES"] = "django_starter/serve/huey.conf" if worker_beside() else ""
    redis_text = find_redis()
    broker_text = find_broker()
    manage("migrate", "--noinput", "-v", "0", trouble="The database could not be migrated")
    # Everybody may read these: a proxy in front serves them, as a user of its own.
    manage("collectstatic", "--noinput", "-v", "0", trouble="The static files could not be collected", umask=0o022)
    announce(redis_text, broker_text)


def manage(*arguments: str, trouble: str, umask: int = -1) -> None:
    done = subprocess.run([*MANAGE, *arguments], cwd=BASE_DIR, stdin=subprocess.DEVNULL, umask=umask, check=False)
    if done.returncode:
        raise Trouble(f"{trouble}: the lines above say why.")


def refuse_unfit_services() -> None:
    """What the services read for themselves; supervisord would start one that refuses it again and again."""
    choice("ASGI_SERVER", SERVERS)
    flag("FLOWER_READ_ONLY", True)
    number("DATABASE_POOL", 0, 0, 1000)
    host = text("BIND", "127.0.0.1")
    try:
        with socket.create_server((host.strip("[]"), 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise Trouble(
            f"BIND={host} is no address of this machine ({error}): use 127.0.0.1, or 0.0.0.0 for all of its addresses."
        ) from None


def refuse_taken_ports() -> None:
    ports = {"PORT": number("PORT", 8001, 1, 65_535), "FLOWER_PORT": number("FLOWER_PORT", 8054, 1, 65_535)}
    if len(set(ports.values())) == 1:
        raise Trouble(f"PORT and FLOWER_PORT are both {ports['PORT']}: give each its own.")
    for name, port in ports.items():
        if not is_free(port):
            raise Trouble(
                f"Port {port} is taken by another program: stop that one, or choose another port, "
                f"for example {name}={free_port()} ./start_all_services.sh"
            )
        os.environ[name] = str(port)


def prepare_socket() -> None:
    """A folder of this user alone, without the socket that a supervisord left when it was killed."""
    if len(os.fsencode(SOCKET)) > MAX_SOCKET_PATH:
        raise Trouble(f"The path {SOCKET} is too long for a socket: move the checkout nearer to the root.")
    SOCKET.parent.mkdir(parents=True, exist_ok=True)
    SOCKET.parent.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.connect(str(SOCKET))
        raise Trouble(
            "This checkout's services run already. To look at them or to end them: "
            ".venv/bin/supervisorctl -c supervisord.conf status (or shutdown)"
        )
    SOCKET.unlink(missing_ok=True)


def find_redis() -> str:
    """REDIS_URL when it is set; else one that answers on localhost:6379; else the embedded Valkey. Says which."""
    os.environ["EMBEDDED_VALKEY"] = "false"
    if url := address("REDIS_URL", REDIS_SCHEMES):
        if not answers_ping(url):
            raise Trouble(f"Nothing answers at REDIS_URL={shown(url)}: start that server, or unset REDIS_URL.")
        return shown(url)
    if answers_ping(DEFAULT_REDIS_URL):
        os.environ["REDIS_URL"] = DEFAULT_REDIS_URL
        return f"{DEFAULT_REDIS_URL}  (it was running already)"
    refuse_orphan()
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    os.environ |= {"REDIS_URL": url, "VALKEY_PORT": str(port), "EMBEDDED_VALKEY": "true"}
    return f"{url}  (embedded Valkey, data in {VALKEY_FOLDER})"


def find_broker() -> str:
    """BROKER_URL where it is set, "" where Redis is the broker as well."""
    url = address("BROKER_URL", BROKER_SCHEMES)
    if not url:
        return ""
    import_module("django_starter.celery")  # whose broker it is
    from tasks.celery import broker

    try:
        broker.ping(3)
    except Exception as error:  # whatever its client raises
        raise Trouble(f"Nothing answers at BROKER_URL={shown(url)}: {error}. Start that server.") from error
    return shown(url)


def refuse_orphan() -> None:
    """After a kill -9 of supervisord its services live on. Two servers that write one append-only file destroy it."""
    with suppress(OSError):
        pid = server_in(VALKEY_FOLDER, REDIS_URL_FILE.read_text().strip())
        if pid is None:
            return
        raise Trouble(f"The embedded Valkey of an earlier start still runs (process {pid}): end it with kill {pid}")


def announce(redis_text: str, broker_text: str) -> None:
    password, new = flower_password()
    host = text("BIND", "127.0.0.1")
    lines = [
        f"Page     http://{'localhost' if host == '127.0.0.1' else host}:{os.environ['PORT']}{script_name() or ''}/",
        f"Flower   http://localhost:{os.environ['FLOWER_PORT']}/{flower_prefix()}",
        # Shown once: later starts name the file that has it.
        f"         user {USER}, password {password}" if new else f"         user {USER}, password in {PASSWORD_FILE}",
        f"Redis    {redis_text}",
        *([f"Broker   {broker_text}"] if broker_text else []),
        f"Logs     {DEV_DIR / 'logs'}",
        "State    .venv/bin/supervisorctl -c supervisord.conf status",
        "Stop     Ctrl-C, or TERM to this process",
    ]
    if text("FLOWER_PASSWORD"):
        lines[2] = f"         user {USER}, password in FLOWER_PASSWORD"
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())
