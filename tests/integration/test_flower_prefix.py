"""Flower below a path: the doctor and the strip ask there, and what starts it says so."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from django_starter.doctor import frontends
from django_starter.doctor.context import Context
from django_starter.doctor.site import Site
from django_starter.processes.flower import flower_prefix
from tasks.web import services


class Flower(ThreadingHTTPServer):
    """Answers as Flower does below `/flower`, and 404 elsewhere; behind nginx under nginx's name."""

    def __init__(self, name: str = "TornadoServer/6.5") -> None:
        class Handler(BaseHTTPRequestHandler):
            def version_string(self) -> str:
                return name

            def do_GET(self) -> None:
                known = {"/flower/healthcheck": b"OK", "/flower/": b"<title>Flower</title>"}
                body = known.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture(params=["TornadoServer/6.5", "nginx"])
def flower(request, settings, monkeypatch):
    server = Flower(request.param)
    port = server.server_address[1]
    settings.FLOWER_URL = f"http://127.0.0.1:{port}/flower"
    monkeypatch.setenv("FLOWER_PORT", str(port))
    yield request.param
    server.shutdown()
    server.server_close()


def context() -> Context:
    return Context(Site.here())


def test_below_its_path_it_is_found(flower):
    assert frontends.flower(context()).status == "ok"
    assert services._flower_answers()
    if "Tornado" in flower:  # at the port itself there is no proxy
        assert "ours" in frontends.ports(context()).detail


@pytest.mark.parametrize("path", ["", "/elsewhere"])
def test_where_another_program_answers_it_is_not(flower, settings, path):
    settings.FLOWER_URL = settings.FLOWER_URL.replace("/flower", path)
    found = frontends.flower(context())
    assert found.status == "failed"
    assert not path or not services._flower_answers()
    assert found.hint.endswith("--url_prefix=elsewhere" if path else settings.FLOWER_URL.rpartition(":")[2])


@pytest.mark.parametrize(
    ("env", "prefix"),
    [
        ({}, ""),
        ({"FLOWER_URL": "http://localhost:8054"}, ""),
        ({"FLOWER_URL": "https://example.org/flower/"}, "flower"),
        ({"FLOWER_URL_PREFIX": "/a/b/"}, "a/b"),
        ({"FLOWER_URL_PREFIX": "f", "FLOWER_URL": "https://example.org/flower"}, "f"),
    ],
)
def test_it_is_started_below_the_path_of_its_address(monkeypatch, env, prefix):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert flower_prefix() == prefix
