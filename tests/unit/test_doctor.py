"""The pieces of `manage.py doctor` that need no system: its clocks, its screen, its bounds, its addresses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from django.core.management.color import color_style

from django_starter.doctor import checklist, frontends, machine, servers
from django_starter.doctor.checklist import Check, run_checks
from django_starter.doctor.context import Context
from django_starter.doctor.finding import Finding, failed, ok, skipped
from django_starter.doctor.screen import lines, style_for, summary
from django_starter.doctor.servers import hint_for, judge_clocks
from django_starter.doctor.site import Site
from django_starter.doctor.trial import Trial

HERE = Site("http", "127.0.0.1", 8001, "localhost:8001")


@pytest.mark.parametrize(("seconds", "status"), [(0.0, "ok"), (-1.9, "ok"), (2.5, "failed"), (-3600.0, "failed")])
def test_clocks_that_differ_by_more_than_a_claim_allows_are_a_fault(seconds, status):
    found = judge_clocks({"Redis": 0.001, "the database": seconds})
    assert found.status == status
    assert f"the database {seconds:+.3f} s" in found.detail
    assert ("timedatectl" in found.hint) == (status == "failed")


def test_a_finding_is_one_line_and_each_hint_another():
    style = style_for(color_style(force_color=True))
    text = list(lines("web", failed("Nobody answers.", "./start_dev.sh\n./start_all_services.sh"), style))
    assert text[0].startswith("\x1b[")
    assert text[0].endswith("web          Nobody answers.")
    assert [line.strip() for line in text[1:]] == ["→ ./start_dev.sh", "→ ./start_all_services.sh"]
    assert next(iter(lines("broker", ok("Valkey", 0.0004), style))).endswith("Valkey, 0.4 ms")


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    style = style_for(color_style(force_color=True))
    assert "\x1b" not in "".join(lines("web", failed("x", "y"), style)) + summary([ok("x"), skipped("y")], style)


def test_what_raises_or_hangs_is_named_and_what_needs_it_is_skipped(monkeypatch):
    released, context = threading.Event(), Context(HERE)

    def hang(_: Context) -> Finding:
        released.wait(20)
        return ok("too late")

    def burst(_: Context) -> Finding:
        raise RuntimeError("on two\nlines")

    checks = (
        Check("database", hang, hint="look at it", timeout=0.05),
        Check("migrations", burst, ("database",)),
        Check("web", burst, hint="start it"),
        Check("socket", burst, ("migrations", "web")),
        Check("disk", lambda _: ok("fine")),
        Check("flower", burst),
    )
    monkeypatch.setattr(checklist, "CHECKS", checks)
    found = dict(run_checks(context, ["flower"]))
    released.set()
    assert found["database"] == failed("No answer within 0.05 s.", "look at it")
    assert found["migrations"] == skipped("the database does not answer")
    assert found["web"] == failed("RuntimeError: on two lines", "start it")
    assert found["socket"] == skipped("the database does not answer")
    assert found["disk"] == ok("fine")
    assert found["flower"] == skipped("left out")


@pytest.mark.parametrize(
    ("allowed", "name"),
    [(["localhost", "127.0.0.1"], "localhost:8001"), (["*"], "localhost:8001"), ([".example.com"], "example.com:8001")],
)
def test_a_site_is_asked_by_a_name_that_it_serves(settings, allowed, name):
    settings.ALLOWED_HOSTS = allowed
    assert Site.here() == Site("http", "127.0.0.1", 8001, name)


def test_a_site_elsewhere_is_asked_as_its_visitors_do():
    assert Site.at("https://tasks.example.com/") == Site("https", "tasks.example.com", 443, "tasks.example.com")
    assert Site.at("http://[::1]:9000").url == "http://[::1]:9000"
    below = Site.at("https://tasks.example.com/app/")
    assert (below.path, below.url, below.origin) == (
        "/app",
        "https://tasks.example.com:443/app",
        "https://tasks.example.com",
    )
    for nonsense in ("tasks.example.com", "ftp://x", "http://"):
        with pytest.raises(ValueError, match="Expected an address"):
            Site.at(nonsense)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("redis://:secret@data.example.com:6380/0", "nc -vz data.example.com 6380 "),
        ("amqps://us:secret@one.example.com;amqps://us:secret@two.example.com", "nc -vz one.example.com 5671 "),
        ("amqp://guest:secret@127.0.0.1:1//", "systemctl start rabbitmq-server"),
        ("unix:///run/redis.sock", "redis-server --unixsocket /run/redis.sock "),
        ("redis://:a;secret@data.example.com", "nc -vz data.example.com 6379 "),
    ],
)
def test_a_hint_names_the_server_and_no_password(settings, url, line):
    settings.BROKER_URL = url
    assert hint_for("BROKER_URL").startswith(line)
    assert "secret" not in hint_for("BROKER_URL")


# --- what a Redis says of itself --------------------------------------------------------------------------------------

GOOD = {"aof_enabled": 1, "aof_last_write_status": "ok", "maxmemory_policy": "noeviction", "used_memory": 2**20}


@pytest.mark.parametrize(
    ("told", "ask", "status", "detail"),
    [
        ({}, servers.persistence, "ok", "append-only file"),
        ({"aof_last_write_status": "err"}, servers.persistence, "failed", "is its disk full?"),
        ({"aof_enabled": 0}, servers.persistence, "warning", "no append-only file"),
        ({"maxmemory": 2**30}, servers.eviction, "ok", "noeviction, 1.0 MB of 1024.0 MB"),
        ({"maxmemory": 2**20}, servers.eviction, "warning", "100% of the memory"),
        ({"maxmemory_policy": "volatile-ttl"}, servers.eviction, "failed", "volatile-ttl"),
    ],
)
def test_what_a_broker_says_of_itself_is_judged(told, ask, status, detail):
    context = Context(HERE, servers={"BROKER_URL": {**GOOD, **told}})
    found = ask(context)
    assert found.status == status
    assert detail in found.detail
    assert bool(found.hint) == (status != "ok")


def test_what_only_a_redis_has_is_skipped_for_another_broker():
    assert servers.persistence(Context(HERE)).status == "skipped"
    assert servers.eviction(Context(HERE, servers={"REDIS_URL": GOOD})).status == "ok"
    found = servers.eviction(Context(HERE, servers={"REDIS_URL": {**GOOD, "maxmemory_policy": "allkeys-lfu"}}))
    assert (found.status, "REDIS_URL" in found.detail) == ("failed", True)


# --- a web server that is not well ------------------------------------------------------------------------------------


class Sick(BaseHTTPRequestHandler):
    """Answers each path with the status and the body in `says`."""

    protocol_version = "HTTP/1.1"
    says: ClassVar[dict[str, tuple[int, str]]] = {}

    def do_GET(self) -> None:
        status, body = self.says.get(self.path, (404, ""))
        self.send_response(status)
        self.send_header("X-Request-ID", "1")
        self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


class TrialInNameOnly(Trial):
    """A trial that needs no database."""

    cookie = "sessionid=1"

    def a_run(self) -> str:
        return "a-run"


@pytest.fixture
def sick(monkeypatch) -> Iterator[Context]:
    """A call of the doctor for a server that says what `Sick.says` has."""
    monkeypatch.setattr(Sick, "says", {"/health/live": (200, "")})
    with ThreadingHTTPServer(("127.0.0.1", 0), Sick) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield Context(Site("http", "127.0.0.1", server.server_port, "localhost"), trial=TrialInNameOnly())
        server.shutdown()


def test_a_web_server_that_lacks_what_we_have_was_started_with_other_settings(sick):
    Sick.says["/health/ready"] = (503, json.dumps({"failing": ["broker", "workers"]}))
    sick.findings |= {"broker": ok("here"), "workers": failed("nobody", "")}
    found = frontends.web(sick)
    assert found.status == "failed"
    assert "lacks what this shell finds: broker." in found.detail


def test_a_web_server_that_does_not_serve_the_name_we_ask_for(sick):
    Sick.says["/health/live"] = (400, "")
    assert "ALLOWED_HOSTS" in frontends.web(sick).hint


@pytest.mark.parametrize(
    ("status", "detail", "hint"),
    [
        (403, "is no origin of this site", "ALLOWED_HOSTS"),
        (200, "does not pass Upgrade on", "proxy_set_header Upgrade"),
    ],
)
def test_a_socket_that_is_refused(sick, status, detail, hint):
    Sick.says["/ws/progress/a-run/"] = (status, "")
    found = frontends.socket(sick)
    assert (found.status, detail in found.detail, hint in found.hint) == ("failed", True, True), found


def test_pins_are_read_with_their_hashes_and_markers(tmp_path):
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# made by a program\namqp==5.4.2 \\\n    --hash=sha256:93 \\\n    --hash=sha256:e6\n"
        "old==1.0 ; python_version < '3' \\\n    --hash=sha256:00\nplain==2  # why\n"
    )
    assert [str(one) for one in machine._requirements(file)] == ["amqp==5.4.2", "plain==2"]
