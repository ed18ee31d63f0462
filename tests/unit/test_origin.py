"""From whose pages a socket may be opened: exactly from those that are served, and those that are trusted by name."""

from __future__ import annotations

from typing import Any

import pytest

from progress.origin import is_own_origin

#: Origin, Host, whether a proxy ended https, and whether it may.
CASES = [
    ("http://localhost:8001", "localhost:8001", False, True),
    ("http://LOCALHOST:8001", "localhost:8001", False, True),
    ("http://[::1]:8001", "[::1]:8001", False, True),
    ("http://tasks.example.com", "tasks.example.com", False, True),
    ("http://tasks.example.com", "tasks.example.com:80", False, True),
    ("https://tasks.example.com", "tasks.example.com", True, True),
    ("https://tasks.example.com", "tasks.example.com:443", True, True),
    ("https://tasks.example.com:8443", "tasks.example.com:8443", True, True),
    # trusted by name
    ("https://www.example.org", "tasks.example.com", True, True),
    ("https://deep.below.example.net", "tasks.example.com", True, True),
    ("https://example.net", "tasks.example.com", True, True),
    ("http://www.example.org", "tasks.example.com", True, False),
    ("https://www.example.org:444", "tasks.example.com", True, False),
    ("https://badexample.net", "tasks.example.com", True, False),
    # another port, scheme or name
    ("http://localhost:8002", "localhost:8001", False, False),
    ("http://localhost", "localhost:8001", False, False),
    ("https://localhost:8001", "localhost:8001", False, False),
    ("http://127.0.0.1:8001", "localhost:8001", False, False),
    ("http://tasks.example.com", "tasks.example.com", True, False),
    ("https://tasks.example.com:8443", "tasks.example.com", True, False),
    ("http://evil.tasks.example.com", "tasks.example.com", False, False),
    ("https://evil.example", "tasks.example.com", True, False),
    # a name that leads here and is not served
    ("http://evil.example:8001", "evil.example:8001", False, False),
    # no origin at all
    (None, "localhost:8001", False, False),
    ("null", "localhost:8001", False, False),
    ("", "localhost:8001", False, False),
    ("file://", "localhost:8001", False, False),
    ("http://", "localhost:8001", False, False),
    ("localhost:8001", "localhost:8001", False, False),
    ("//localhost:8001", "localhost:8001", False, False),
    ("http://localhost:8001/path", "localhost:8001", False, False),
    ("http://evil.example@localhost:8001", "localhost:8001", False, False),
    ("http://localhost:port", "localhost:8001", False, False),
    ("http://localhost:99999999", "localhost:8001", False, False),
    ("ftp://localhost:8001", "localhost:8001", False, False),
    ("http://[::1", "localhost:8001", False, False),
    ("http://localhost:8001\xff", "localhost:8001", False, False),
    ("http://localhost:8001", "localhost:8001\x00", False, False),
    ("http://localhost:8001", "", False, False),
]


def scope(origin: str | None, host: str, secure: bool, *more: tuple[bytes, bytes]) -> dict[str, Any]:
    headers = [(b"host", host.encode("latin1"))]
    if origin is not None:
        headers.append((b"origin", origin.encode("latin1")))
    if secure:
        headers.append((b"x-forwarded-proto", b"https"))
    return {"headers": headers + list(more), "server": ("127.0.0.1", 8001)}


@pytest.fixture(autouse=True)
def site(settings):
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "tasks.example.com"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://www.example.org", "https://*.example.net"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")


@pytest.mark.parametrize(("origin", "host", "secure", "may"), CASES)
def test_an_origin_is_ours_or_it_is_not(origin, host, secure, may):
    assert is_own_origin(scope(origin, host, secure)) is may


def test_two_origins_are_none_and_a_header_with_an_underscore_is_not_the_proxys():
    twice = scope("http://localhost:8001", "localhost:8001", False, (b"origin", b"http://localhost:8001"))
    assert not is_own_origin(twice)
    forged = scope("https://localhost:8001", "localhost:8001", False, (b"x_forwarded_proto", b"https"))
    assert not is_own_origin(forged)


def test_a_server_with_a_certificate_of_its_own_says_wss():
    there = {**scope("https://localhost:8001", "localhost:8001", False), "scheme": "wss"}
    assert is_own_origin(there)
    assert not is_own_origin({**there, "scheme": "ws"})
