"""Where people come in: the ports, the pages, the live socket, Flower."""

from __future__ import annotations

import base64
import json
import socket as sockets
import ssl
import time

from django.conf import settings

from django_starter.environment import server_port, text
from django_starter.processes.flower import PASSWORD_FILE, USER
from django_starter.processes.ports import answers, free_port
from progress.messages import SOCKETS, CloseCode
from tasks.web.services import flower_url, start_flower

from .context import Context
from .finding import Finding, failed, ok, warning
from .machine import near
from .site import HTTP_TIMEOUT, Answer, Site, get

START_WEB = f"{settings.TASKS_START_ALL}  # or, as on a server: ./start_all_services.sh"
RESTART_WEB = (
    ".venv/bin/supervisorctl -c supervisord.conf restart services:web  # or start it again from a shell like this one"
)
RESTART_FLOWER = ".venv/bin/supervisorctl -c supervisord.conf restart services:flower  # or start it again"


def ports(_: Context) -> Finding:
    """PORT and FLOWER_PORT are ours, or free."""
    texts = []
    for name, is_ours, path in (("PORT", _is_ours, "/health/live"), ("FLOWER_PORT", _is_flower, "/healthcheck")):
        port = server_port(name)
        here = Site.here()
        if name == "PORT":
            site = Site("http", here.host, port, here.name, here.path)
        else:
            site = Site("http", "127.0.0.1", port, here.name, Site.at(flower_url()).path)
        if not answers(site.url):
            texts.append(f"{port} free")
            continue
        try:
            mine = is_ours(get(site, path))
        except OSError:
            mine = False
        if not mine:
            return failed(
                f"Port {port} is taken by another program, or by ours that hangs.",
                f"lsof -nP -iTCP:{port} -sTCP:LISTEN  # which one\n"
                f"{name}={free_port()} {settings.TASKS_START_ALL}  # or another port",
            )
        texts.append(f"{port} ours")
    return ok(", ".join(texts))


def web(context: Context) -> Finding:
    """The web server answers, and itself reaches what we reach."""
    site = context.site
    began = time.monotonic()
    try:
        answer = get(site, "/health/live")
    except TimeoutError:
        return failed(f"The web server at {site.url} does not answer within {HTTP_TIMEOUT:g} s.", RESTART_WEB)
    except OSError as error:
        return failed(f"Nobody answers at {site.url}: {error}", START_WEB)
    took = time.monotonic() - began
    if not _is_ours(answer):
        return failed(f"At {site.url} answers another program, with {answer.status}.", START_WEB)
    if answer.status != 200:
        return failed(f"{site.url} answers {answer.status} to {site.name}.", "# name that host in ALLOWED_HOSTS")
    # It gives all of them 0.6 s together: on a busy machine one may be late, but not twice.
    if lacking := _lacking(context) and _lacking(context):
        return failed(
            f"The web server lacks what this shell finds: {', '.join(lacking)}. It was started with other settings.",
            RESTART_WEB,
        )
    return ok(f"answers at {site.url} as {site.name}", took)


def _lacking(context: Context) -> list[str]:
    """What the web server does not reach, although we do."""
    failing = json.loads(get(context.site, "/health/ready").body)["failing"]
    return [name for name in failing if context.passed(name)]


def socket(context: Context) -> Finding:
    """A socket of a signed-in visitor opens, and its first frame is the snapshot of their task."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
    from websockets.sync.client import connect
    from websockets.typing import Origin

    site, task_id = context.site, context.trial.a_run()
    secure = site.scheme == "https"
    began = time.monotonic()
    try:
        with connect(
            f"{'wss' if secure else 'ws'}://{site.name}{site.path}{SOCKETS}{task_id}/",
            sock=sockets.create_connection((site.host, site.port), timeout=HTTP_TIMEOUT),
            ssl=ssl.create_default_context() if secure else None,
            origin=Origin(site.origin),
            additional_headers={"Cookie": context.trial.cookie},
            open_timeout=HTTP_TIMEOUT,
            close_timeout=HTTP_TIMEOUT / 4,
        ) as link:
            frame = json.loads(link.recv(timeout=HTTP_TIMEOUT))
            took = time.monotonic() - began
    except ConnectionClosed as closed:
        return _closed(closed.rcvd.code if closed.rcvd else 1006)
    except InvalidStatus as error:
        return _refused(error.response.status_code, site)
    except (InvalidHandshake, TimeoutError) as error:
        return failed(f"The socket did not open: {str(error) or 'no answer'}", RESTART_WEB)
    if (frame.get("type"), frame.get("task_id")) != ("snapshot", task_id):
        return failed(f"The socket's first frame is no snapshot, but {frame.get('type')!r}.", RESTART_WEB)
    return ok(f"opened, and a snapshot came ({frame['task']['state']})", took)


def _closed(code: int) -> Finding:
    if code == CloseCode.NOT_FOUND:
        return failed(
            "The web server does not know a task or a visitor of this shell: it has another DATABASE_URL or "
            "SECRET_KEY (4404).",
            RESTART_WEB,
        )
    return failed(f"The socket was closed with {code} before a snapshot came.", RESTART_WEB)


def _refused(status: int, site: Site) -> Finding:
    if status == 403:
        return failed(
            f"The socket was refused with 403: {site.origin} is no origin of this site.",
            "# ALLOWED_HOSTS; nginx: proxy_set_header Host $http_host;",
        )
    return failed(
        f"The socket was answered with {status}: something in between does not pass Upgrade on.",
        "# nginx, in that location:\n"
        'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
    )


def flower(_: Context) -> Finding:
    """Flower answers, and lets a visitor with its password in."""
    site = Site.at(flower_url())
    try:
        if not _is_flower(get(site, "/healthcheck"), proxied=bool(site.path)):
            return failed(f"At {site.url} answers another program.", start_flower())
        began = time.monotonic()
        answer = get(site, "/")
        if answer.status != 401:
            took = time.monotonic() - began
            if settings.PRODUCTION:
                return warning(f"{site.url} asks nobody for a password.", "python -m django_starter.serve.flower")
            return ok(f"answers at {site.url}, without a password", took)
        password, where = _password()
        if not password:
            return failed(f"{site.url} asks for a password, and there is none here.", "# set FLOWER_PASSWORD")
        token = base64.b64encode(f"{USER}:{password}".encode()).decode()
        began = time.monotonic()
        answer = get(site, "/", {"Authorization": f"Basic {token}"})
    except TimeoutError:
        return failed(f"Flower at {site.url} does not answer within {HTTP_TIMEOUT:g} s.", RESTART_FLOWER)
    except OSError as error:
        return failed(f"Nobody answers at {site.url}: {error}", start_flower())
    if answer.status in (401, 403):
        return failed(f"Flower refuses the password in {where}: it was started with another one.", RESTART_FLOWER)
    return ok(f"answers at {site.url}, with its password", time.monotonic() - began)


def _password() -> tuple[str, str]:
    """Flower's password and where it is; none is made here."""
    if given := text("FLOWER_PASSWORD"):
        return given, "FLOWER_PASSWORD"
    return (PASSWORD_FILE.read_text().strip() if PASSWORD_FILE.exists() else ""), near(PASSWORD_FILE)


def _is_ours(answer: Answer) -> bool:
    return "X-Request-ID" in answer.headers


def _is_flower(answer: Answer, *, proxied: bool = False) -> bool:
    """Its own answer; a proxy in between writes its own name over Tornado's."""
    tornado = "Tornado" in answer.headers.get("Server", "")
    return answer.status == 200 and answer.body == b"OK" and (tornado or proxied)
