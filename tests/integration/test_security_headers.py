"""What each answer tells the browser to refuse, and what a request may not smuggle into an answer."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client

from tasks.models import TaskRun

from .people import signed_in, started, visitor

pytestmark = pytest.mark.django_db


def pages() -> list[tuple[Client, str]]:
    alice = visitor()
    task_id = started(alice)
    return [(alice, path) for path in ("/", f"/tasks/{task_id}/", "/login/", "/nothing/", "/health/live")]


def test_every_page_has_a_policy_without_holes():
    for client, path in pages():
        policy = client.get(path)["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy


def test_no_page_has_a_script_or_style_in_its_text():
    for client, path in pages():
        text = client.get(path).content.decode()
        for attributes, body in re.findall(r"<script\b([^>]*)>(.*?)</script>", text, re.DOTALL):
            assert "src=" in attributes or 'type="application/json"' in attributes, (path, body[:100])
        assert "<style" not in text
        assert not re.search(r"<[^>]+\sstyle=", text)
        assert not re.search(r"<[^>]+\son\w+=", text)
        assert "javascript:" not in text


def test_a_page_cannot_be_framed_nor_its_type_guessed():
    answer = Client().get("/")
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"


def test_another_host_name_is_refused():
    assert Client().get("/", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("given", ["a b", "x" * 65, "a\r\nSet-Cookie: evil=1", "<script>", "ä"])
def test_a_request_id_is_taken_only_when_it_is_harmless(given):
    answer = Client().get("/health/live", HTTP_X_REQUEST_ID=given)
    assert re.fullmatch(r"[0-9a-f]{16}", answer["X-Request-ID"])
    assert Client().get("/health/live", HTTP_X_REQUEST_ID="proxy-1.2_3")["X-Request-ID"] == "proxy-1.2_3"


def test_what_a_visitor_writes_is_text_on_the_page():
    alice = signed_in("alice", first_name="x")
    task_id = started(alice)
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    TaskRun.objects.update(error={"type": evil, "message": evil}, state="FAILURE", finished_at="2026-01-01T00:00Z")
    for path in ("/", f"/tasks/{task_id}/"):
        text = alice.get(path).content.decode()
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        for body in re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL):
            assert json.loads(body)
