"""Where the pages are asked for, under which name; and one plain request over HTTP."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

from django_starter.environment import server_port, text

#: Seconds that a server may take to connect, and between two pieces of its answer.
HTTP_TIMEOUT = 3.0
#: Bytes of an answer that are read.
MOST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Site:
    """A server at `host`:`port` that is asked as `name`, as its visitors do; `path`: what the site is below, or ""."""

    scheme: str
    host: str
    port: int
    name: str
    path: str = ""

    @classmethod
    def at(cls, url: str) -> Site:
        """The server at an http or https address. Raises ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"Expected an address such as https://tasks.example.com, but got {url!r}.")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.scheme, parts.hostname, port, parts.netloc, parts.path.rstrip("/"))

    @classmethod
    def here(cls) -> Site:
        """The one that BIND and PORT lead to, asked by a name that ALLOWED_HOSTS allows."""
        host, port = text("BIND", "127.0.0.1").strip("[]"), server_port("PORT")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return cls("http", host, port, f"{_allowed_name()}:{port}", settings.FORCE_SCRIPT_NAME or "")

    @property
    def url(self) -> str:
        """As people write it."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}{self.path}"

    @property
    def origin(self) -> str:
        """What a browser names as the origin of its pages."""
        return f"{self.scheme}://{self.name}"


def _allowed_name() -> str:
    allowed: list[str] = settings.ALLOWED_HOSTS
    if "*" in allowed or "localhost" in allowed or not allowed:
        return "localhost"
    return allowed[0].lstrip(".")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a web server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def get(site: Site, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """GET `path` of the site; any status is an answer, and no redirect is followed.

    Raises OSError, also for what is no HTTP.
    """
    kind = http.client.HTTPSConnection if site.scheme == "https" else http.client.HTTPConnection
    connection = kind(site.host, site.port, timeout=HTTP_TIMEOUT)
    try:
        connection.request("GET", site.path + path, headers={"Host": site.name, **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read(MOST))
    except http.client.HTTPException as error:
        raise OSError(f"no answer in HTTP: {error}") from error
    finally:
        connection.close()
