"""The site below a path of its host: every link, file, redirect, cookie and socket, however the path arrives."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.template.loader import render_to_string
from django.urls import URLPattern, URLResolver, clear_script_prefix, get_resolver, set_script_prefix

from django_starter import environment
from django_starter.asgi import application
from progress import watch
from tests.downloads import DOWNLOADS

pytestmark = pytest.mark.django_db

#: How a request for /app/… may arrive: FORCE_SCRIPT_NAME, the server's root path, and what stands before the path.
WAYS = {
    "setting, passed on": ("/app", "", "/app"),
    "setting, stripped": ("/app", "", ""),
    "Daphne's root path, passed on": (None, "/app", "/app"),
    "Daphne's root path, stripped": (None, "/app", ""),
    "uvicorn's root path, stripped": (None, "/app", "/app"),
    "uvicorn's root path, passed on": (None, "/app", "/app/app"),
    "both, stripped": ("/app", "/app", "/app"),
    "a root path with a slash": (None, "/app/", "/app"),
}


@dataclass
class Answer:
    status: int
    headers: dict[str, list[str]]
    text: str


class Browser:
    """Asks the ASGI application for what a browser asks a proxy for."""

    def __init__(self, settings, way: str) -> None:
        settings.FORCE_SCRIPT_NAME, self.root_path, self.before = WAYS[way]
        self.cookies: dict[str, str] = {}
        self.paths: list[str] = []

    def scope(self, kind: str, address: str) -> dict:
        parts = urlsplit(address)
        assert parts.path.startswith("/app/"), address
        return {
            "type": kind,
            "path": self.before + parts.path.removeprefix("/app"),
            "root_path": self.root_path,
            "query_string": parts.query.encode(),
            "headers": [
                (b"host", b"localhost"),
                (b"origin", b"http://localhost"),
                (b"cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()).encode()),
            ],
        }

    def ask(self, address: str, form: dict | None = None) -> Answer:
        body = urlencode(form or {}).encode()
        scope = self.scope("http", address) | {"method": "GET" if form is None else "POST", "scheme": "http"}
        if form is not None:
            kind = (b"content-type", b"application/x-www-form-urlencoded")
            scope["headers"] += [kind, (b"content-length", str(len(body)).encode())]
        heard = async_to_sync(talk)(scope, [{"type": "http.request", "body": body}])
        headers: dict[str, list[str]] = {}
        for name, value in heard[0]["headers"]:
            headers.setdefault(name.decode().lower(), []).append(value.decode())
        for cookie in headers.get("set-cookie", []):
            name, value = cookie.split(";")[0].split("=", 1)
            self.cookies[name] = value
            self.paths += re.findall(r"[Pp]ath=([^;]*)", cookie)
        text = b"".join(event.get("body", b"") for event in heard[1:]).decode(errors="replace")
        return Answer(heard[0]["status"], headers, text)

    def post(self, address: str, **form: str) -> Answer:
        return self.ask(address, {"csrfmiddlewaretoken": self.cookies["csrftoken"], **form})


async def talk(scope, events) -> list:
    """What the application says to these events."""
    heard: list = []
    coming = iter(events)

    async def receive():
        if event := next(coming, None):
            return event
        if scope["type"] == "http":
            await asyncio.Event().wait()  # the browser stays for its answer
        return {"type": "websocket.disconnect"}

    async def send(event):
        heard.append(event)

    await application(scope, receive, send)
    return heard


@pytest.fixture(autouse=True)
def _prefix():
    yield
    clear_script_prefix()  # what the last request has set is of this thread


@pytest.fixture(params=WAYS)
def browser(request, settings):
    return Browser(settings, request.param)


def links(page: str) -> set[str]:
    """Every address in the page's text."""
    found = re.findall(r'\s(?:href|src|action|data-src|data-success|data-failure|data-revoked)="([^"]*)"', page)
    found += re.findall(r'name="progress-sockets" content="([^"]*)"', page)
    return {one for one in found if one and not one.startswith(("http://localhost:8054", "#", "?"))}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # WhiteNoise's files are ordinary ones
def test_every_address_on_every_page_is_below_the_path_and_leads_somewhere(browser, django_user_model):
    django_user_model.objects.create_superuser("sarah", password="a long password")
    login = browser.ask("/app/login/")
    assert login.status == 200
    back = browser.post("/app/login/", username="sarah", password="a long password", next="/app/runs/")
    assert (back.status, back.headers["location"]) == (302, ["/app/runs/"])
    started = browser.post("/app/tasks/start/", task="long_running_task", steps="3", delay="0")
    assert (started.status, started.headers["location"]) == (302, ["/app/"])
    home = browser.ask("/app/")
    run = re.findall(r'href="(/app/tasks/[^"]+/)"', home.text)[0]
    seen: set[str] = set()
    for path in ("/app/", run, "/app/runs/", "/app/login/", "/app/admin/"):
        page = browser.ask(path)
        assert page.status == 200, path
        for one in links(page.text):
            to = urljoin(path, one)
            assert f"{to}/".startswith("/app/"), (path, one)
            seen.add(to if to != "/app" else "/app/")  # Django's admin leads to the first
    kinds = (
        "/app/static/",
        "/app/api/tasks/",
        "/app/api/status/",
        "/app/api/runs/",
        "/app/ws/progress/",
        "/app/admin/",
    )
    assert not [kind for kind in kinds if not any(one.startswith(kind) for one in seen)]
    for one in seen:
        if "/ws/" not in one and "00000000-0000" not in one:
            assert browser.ask(one).status in (200, 405), one  # 405: it takes a form only
    module = browser.ask("/app/static/progress/task-progress.js")
    assert 'from "./connection.js"' in module.text  # relative: right below any path
    assert set(browser.paths) == {"/app"}


@pytest.mark.parametrize("name", ["403", "403_csrf", "404", "429", "500", "tasks/gone"])
def test_the_way_back_from_a_page_that_refuses_is_below_the_path(name):
    set_script_prefix("/app/")
    page = render_to_string(f"{name}.html", {"user": AnonymousUser()})
    found = links(page)
    assert "/app/" in found
    assert all(one.startswith("/app/") for one in found), found


def test_whoever_has_to_log_in_comes_back_below_the_path(browser, settings):
    settings.TASKS_REQUIRE_LOGIN = True
    answer = browser.ask("/app/tasks/abc/?x=1")
    to = urlsplit(answer.headers["location"][0])
    assert (to.path, parse_qs(to.query)) == ("/app/login/", {"next": ["/app/tasks/abc/?x=1"]})
    answer = browser.ask("/app/api/tasks/abc/")
    assert (answer.status, '"login": "/app/login/"' in answer.text) == (401, True)
    browser.ask("/app/login/")
    answer = browser.post("/app/tasks/abc/cancel/")
    to = urlsplit(answer.headers["location"][0])
    assert (to.path, parse_qs(to.query)) == ("/app/login/", {"next": ["/app/"]})


def test_json_names_its_addresses_below_the_path(browser):
    browser.ask("/app/")
    scope = browser.scope("http", "/app/tasks/start/") | {"method": "POST", "scheme": "http"}
    token = browser.cookies["csrftoken"].encode()
    scope["headers"] += [(b"content-type", b"application/json"), (b"x-csrftoken", token)]
    heard = async_to_sync(talk)(scope, [{"type": "http.request", "body": b"{}"}])
    body = b"".join(event.get("body", b"") for event in heard[1:]).decode()
    assert re.search(r'"url": "/app/tasks/[^"]+/"', body)
    assert re.search(r'"ws_url": "ws://localhost/app/ws/progress/[^"]+/"', body)


@pytest.mark.parametrize("path", ["/app/ws/progress/%s/", "/app/ws/progress/%s/?epoch=a"])
def test_sockets_are_found(browser, path):
    scope = browser.scope("websocket", path % ("x" * 65))  # no task has such an id: known before anybody is asked
    heard = async_to_sync(talk)(scope | {"subprotocols": []}, [{"type": "websocket.connect"}])
    assert [event["type"] for event in heard] == ["websocket.accept", "websocket.close"]
    assert heard[1]["code"] == 4404


def test_machines_that_ask_past_the_proxy_need_no_path(settings):
    settings.FORCE_SCRIPT_NAME = "/app"
    for path in ("/health/live", "/app/health/live"):
        scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"host", b"localhost")], "root_path": ""}
        assert async_to_sync(talk)(scope, [{"type": "http.request", "body": b""}])[0]["status"] == 200


@pytest.mark.parametrize(
    ("given", "taken"), [("", None), ("/", None), ("/app", "/app"), ("/app/", "/app"), ("/a/b-c", "/a/b-c")]
)
def test_a_path_is_taken_from_the_environment(monkeypatch, given, taken):
    monkeypatch.setenv("FORCE_SCRIPT_NAME", given)
    assert environment.script_name() == taken


@pytest.mark.parametrize("given", ["app", "/a b", "//x", "/../x", "/app?x", "https://x/app", "/tasks", "/ws/x"])
def test_what_is_no_path_is_refused_by_name(monkeypatch, given):
    monkeypatch.setenv("FORCE_SCRIPT_NAME", given)
    with pytest.raises(ImproperlyConfigured, match="FORCE_SCRIPT_NAME"):
        environment.script_name()


def test_the_sites_own_words_are_all_of_its_first_words():
    words = {str(one.pattern).split("/")[0] for one in flat(get_resolver().url_patterns)}
    gone = set() if DOWNLOADS else {"downloads", "sample-source"}
    assert (words - {""} | {"static", "ws", "sample-source"}) - gone == environment.OWN_WORDS - gone


def flat(patterns):
    for one in patterns:
        if isinstance(one, URLResolver) and not str(one.pattern):
            yield from flat(one.url_patterns)
        elif isinstance(one, (URLPattern, URLResolver)):
            yield one


@pytest.mark.parametrize("page", ["tasks/t1/", "api/tasks/t1/", "ws/progress/t1/", "tasks/t1"])
@pytest.mark.parametrize("path", ["/", "/app/", "/a/b/"])
def test_watch_asks_where_the_page_is(page, path):
    assert watch.socket_of(f"https://example.org{path}{page}") == (
        f"wss://example.org{path}ws/progress/t1/",
        "https://example.org",
    )
