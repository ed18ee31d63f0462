"""Requests that nobody can read: 400 with a sentence, at every address, and never a traceback."""

from __future__ import annotations

import asyncio
import encodings.aliases
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from django_starter.asgi import application
from django_starter.readable import UTF8
from tests.downloads import of_downloads

from .people import signed_in, started, visitor

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

FORM, PARTS, JSON = "application/x-www-form-urlencoded", "multipart/form-data; boundary=X", "application/json"
PART = '--X\r\nContent-Disposition: form-data; name="task"\r\n\r\n+2AA-\r\n--X--\r\n'

#: Everything that Python can decode, and what it cannot.
CHARSETS = [
    *sorted({*encodings.aliases.aliases.values(), "idna", "punycode", "unicode_escape", "undefined", "utf_8_sig"}),
    *("nonsense", "", "utf-8\x01", "x" * 5_000, "é", "hex''", "rot13", "../../etc/passwd"),
]


@pytest.mark.parametrize("kind", [FORM, PARTS, JSON, "text/plain"])
def test_a_charset_that_is_not_utf_8_is_refused(kind):
    client = Client()
    body = PART if kind == PARTS else "{}"
    for charset in CHARSETS:
        answer = client.generic("POST", "/tasks/start/", body, f"{kind}; charset={charset}", headers={"Accept": JSON})
        allowed = (202, 400) if charset.replace("_", "-").startswith(UTF8) or charset == "" else (400,)
        assert answer.status_code in allowed, charset
        if answer.status_code == 400:
            assert set(answer.json()["errors"]) & {"Content-Type", "body", "task"}, charset


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "utf8", "us-ascii", '"utf-8"'])
def test_the_names_of_utf_8_are_taken(charset):
    answer = Client().generic("POST", "/tasks/start/", "steps=1", f"{FORM}; charset={charset}")
    assert answer.status_code == 302


BODIES: dict[str, tuple[str, bytes]] = {
    "no boundary": ("multipart/form-data", b"x"),
    "an empty boundary": ("multipart/form-data; boundary=", b"x"),
    "a boundary that is not ascii": ("multipart/form-data; boundary=\xe9", b"x"),
    "a boundary that is too long": ("multipart/form-data; boundary=" + "x" * 500, b"x"),
    "headers of parts without end": (PARTS, b"--X\r\n" + b"a: b\r\n" * 20_000),
    "a thousand fields too many": (FORM, b"&".join(b"a=%d" % number for number in range(2_000))),
    "bad JSON": (JSON, b"{"),
    "JSON that is not UTF-8": (JSON, b'{"task": "\xff\xfe"}'),
    "JSON that is too deep": (JSON, b"[" * 50_000),
    "an object that is too deep": (JSON, b'{"a":' * 10_000),
    "a number of many digits": (JSON, b'{"steps": ' + b"9" * 5_000 + b"}"),
    "half a character": (JSON, b'{"task": "\\ud800"}'),
    "NUL in JSON": (JSON, b'{"task": "\\u0000"}'),
    "NUL in a form": (FORM, b"task=%00"),
    "NUL in a name": (FORM, b"%00=1"),
    "another kind": ("image/png", b"x"),
    "a kind that is none": ("\x01;;;=", b"x"),
    "an RFC 2231 parameter in no charset": (f"{FORM}; charset*=no''utf-8", b"x"),
}


@pytest.mark.parametrize("path", ["/tasks/start/", *of_downloads("/downloads/")])
@pytest.mark.parametrize("accept", [JSON, "text/html"])
@pytest.mark.parametrize(("kind", "body"), BODIES.values(), ids=BODIES)
def test_a_body_that_cannot_be_read_is_refused(path, accept, kind, body):
    try:
        answer = Client().generic("POST", path, body, kind, headers={"Accept": accept})
    except ValueError:  # the test's client makes no such request; ASGI is tried below
        assert "2231" in kind or "*=" in kind
        return
    assert answer.status_code == 400, answer.content
    if accept == JSON or kind == JSON:
        assert all(isinstance(said, list) for said in answer.json()["errors"].values())
    else:
        assert b"<h1>" in answer.content or answer.headers["Content-Type"].startswith("application/json")


#: What Django makes an empty form of.
PARTS_OF_A_FORM = [
    b'--X\r\nContent-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--X--\r\n',
    b"--X\r\nContent-Disposition: form-data; name*=no''x\r\n\r\n1\r\n--X--\r\n",
    b"--X\r\nContent-Disposition: form-data; name=",
    b"--X\r\nContent-Disposition: form-data; name=\xff\r\n\r\n\xff\r\n--X--\r\n",
]


@pytest.mark.parametrize("body", PARTS_OF_A_FORM)
def test_a_form_of_strange_parts_is_a_form(body):
    assert Client().generic("POST", "/tasks/start/", body, PARTS).status_code in (302, 400)
    for path in of_downloads("/downloads/"):
        assert Client().generic("POST", path, body, PARTS).status_code == 400


def addresses(patterns: Any, before: str = "") -> list[str]:
    """Every address of the site, with something in place of what varies."""
    found: list[str] = []
    for one in patterns:
        path = before + str(one.pattern).replace("^", "").replace("$", "").replace("\\Z", "")
        if isinstance(one, URLResolver):
            found += addresses(one.url_patterns, path)
        elif isinstance(one, URLPattern):
            for part, value in {
                "<task_id:task_id>": "TASK",
                "<slug:kind>": "csv",
                "<path:object_id>": "TASK",
                "<str:seller_id>": "s1",
                "<str:day>": "2026-01-01",
                "<int:content_type_id>": "1",
            }.items():
                path = path.replace(part, value)
            if "<" not in path and "(" not in path:
                found.append("/" + path)
    return found


QUERIES = [
    *("%00", "a=%00", "%00=a", "q=%00", "state=%00&owner=%00&since=%00", "next=%00", "page=%00", "task=%00"),
    *("%", "a=%zz", "q=%ff%fe", "q=%ed%a0%80", "=", "&&&", "a=%E0%A4%A", "q=" + "x" * 5_000, "page=" + "9" * 5_000),
    *("accepted_at__year=0", "accepted_at__year=99999999999", "accepted_at__year=x", "state__exact=%C3%28", "p=-1"),
    *("a" * 100 + "__b=1", "o=1.2.x", "_facets=%00", "id__exact=%00", "name__in=,,"),
]


def test_no_query_breaks_any_address():
    alice = signed_in("alice", is_staff=True, is_superuser=True)
    task_id = started(alice)
    alice.raise_request_exception = False
    paths = [path.replace("TASK", task_id) for path in addresses(get_resolver().url_patterns)]
    assert len(paths) > 25
    for path in sorted(set(paths)):
        for query in QUERIES:
            if "logout" in path:
                continue
            answer = alice.get(f"{path}?{query}")
            assert answer.status_code < 500 or path in ("/health/ready",), (path, query, answer.content[:500])
            if "%00" in query:
                assert answer.status_code == 400, (path, query)


@pytest.mark.parametrize("path", ["/%00", "/tasks/%00/", "/tasks/%ff/", "/%e0%a4%a/", "/admin/auth/user/%00/change/"])
def test_no_path_breaks_anything(path):
    alice = signed_in("alice", is_staff=True, is_superuser=True)
    assert alice.get(path).status_code in (400, 404, 302)


@pytest.mark.parametrize(
    "header",
    [
        {"Cookie": 'sessionid="aaaaaaaa\\000bbbbbbbb"'},
        {"Cookie": "\xff=\xfe; sessionid=" + "x" * 5_000},
        {"Accept": "\xff\x01"},
        {"If-None-Match": '"' * 1_000},
        {"Idempotency-Key": "\xff"},
        {"Authorization": "Bearer \xe9"},
        {"X-Forwarded-For": ",,\x01, \xff" * 100},
        {"X-CSRFToken": "\xff"},
        {"Referer": "http://[::1"},
        {"Accept-Language": "\xff;q=x"},
    ],
)
def test_no_header_breaks_anything(header):
    client = visitor()
    for path in ("/", "/login/", "/api/runs/", "/metrics", "/admin/"):
        assert client.get(path, headers=header).status_code < 500, path
    assert client.post("/tasks/start/", {"steps": 1}, headers=header).status_code < 500


# --- before there is a request ----------------------------------------------------------------------------------------


async def asked(headers: list[tuple[bytes, bytes]], body: bytes = b"x") -> int:
    """The status that the application itself answers with."""
    messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    messages.put_nowait({"type": "http.request", "body": body})
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    host = (b"host", b"localhost")
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/nothing/", "headers": [host, *headers]}
    await application({**scope, "query_string": b""}, messages.get, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    "header",
    [
        (b"content-type", b"application/x-www-form-urlencoded; charset*=no''utf-8"),
        (b"content-type", b"text/plain; a*=\xff''%"),
        (b"content-type", b"x;" * 100_000),
        (b"content-type", b"text/plain; charset=\x00"),
        (b"content-type", b"text/plain\r\n\r\nx; a=b"),
        (b"content-type", b"text/plain; =; a; ;*=*"),
    ],
)
@pytest.mark.django_db(transaction=True)
async def test_headers_of_which_no_request_can_be_made_are_a_bad_request(header):
    assert await asked([header]) in (400, 403, 404)


@pytest.mark.parametrize("length", [b"9" * 5_000, b"x", b"-1", b"1e3", "²".encode(), b""])
async def test_a_length_that_is_none_is_refused(length):
    assert await asked([(b"content-length", length)]) == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 405),
        ("GET", "/tasks/start/", 405),
        ("GET", "/nothing/", 404),
        ("GET", "/api/nothing/", 404),
        ("GET", "/tasks/11111111-1111-4111-8111-111111111111/", 404),
        ("POST", "/runs/", 302),
    ],
)
def test_a_script_is_answered_with_json_whatever_goes_wrong(method, path, status):
    answer = Client().generic(method, path, headers={"Accept": JSON})
    assert answer.status_code == status
    if status >= 400:
        assert json.loads(answer.content)["error"]
        assert method != "GET" or status != 405 or answer.headers["Allow"]
    strict = Client(enforce_csrf_checks=True).post("/tasks/start/", "{}", content_type=JSON)
    assert strict.status_code == 403
    assert strict.json()["error"]
