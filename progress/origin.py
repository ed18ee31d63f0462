"""From whose pages a socket may be opened: browsers send cookies with every handshake, whichever page asks for it."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.utils.http import is_same_domain

from .types import Scope

PORTS = {"http": 80, "https": 443}


def is_own_origin(scope: Scope) -> bool:
    """True if `Origin` is what this handshake was sent to (scheme, host and port), or is in `CSRF_TRUSTED_ORIGINS`.

    As Django's own check of forms. A handshake without an `Origin`, or with two, is no browser's.
    """
    named = [value for name, value in scope["headers"] if name == b"origin"]
    if len(named) != 1:
        return False
    origin = _parts(named[0].decode("latin1"))
    if origin is None:
        return False
    request = _request(scope)
    try:
        host = request.get_host()
    except DisallowedHost:
        return False
    return origin == _parts(f"{request.scheme}://{host}") or any(
        _is_trusted(origin, trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS
    )


def _is_trusted(origin: tuple[str, str, int], trusted: str) -> bool:
    """`trusted` may begin with `https://*.`, which stands for all names below."""
    parts = _parts(trusted.replace("://*.", "://", 1))
    if parts is None or (origin[0], origin[2]) != (parts[0], parts[2]):
        return False
    return is_same_domain(origin[1], f".{parts[1]}") if "://*." in trusted else origin[1] == parts[1]


def _parts(origin: str) -> tuple[str, str, int] | None:
    """(scheme, host, port) with the port that the scheme stands for; None of what is no origin, such as `null`."""
    try:
        parts = urlsplit(origin)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port


def _request(scope: Scope) -> HttpRequest:
    """The handshake as a request, so that Django says by its own settings which host and scheme a proxy has seen."""
    request = _Handshake("https" if scope.get("scheme") == "wss" else "http")
    for name, value in scope["headers"]:
        if b"_" in name:  # x_forwarded_proto would pass for x-forwarded-proto
            continue
        key = f"HTTP_{name.decode('latin1').upper().replace('-', '_')}"
        request.META[key] = value.decode("latin1")
    server = scope.get("server") or ("", None)
    request.META["SERVER_NAME"] = str(server[0])
    request.META["SERVER_PORT"] = str(server[1] or PORTS[request._get_scheme()])
    return request


class _Handshake(HttpRequest):
    def __init__(self, scheme: str) -> None:
        super().__init__()
        self._own_scheme = scheme

    def _get_scheme(self) -> str:
        return self._own_scheme
