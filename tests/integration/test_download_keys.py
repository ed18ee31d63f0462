"""A download asked for with a key, or twice: one run for one wish, also when its visitor signs in meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from tasks.downloads.tasks import download_reports
from tasks.models import TaskRun

from .people import signed_in, start, visitor

pytestmark = pytest.mark.django_db

DOWNLOAD = {"launcher": "Ann", "seller_id": "S1", "start_date": "2026-01-01", "end_date": "2026-01-02"}


def download(client: Client, body: dict[str, Any], key: str) -> Any:
    headers = {"Idempotency-Key": key}
    return client.post("/downloads/", json.dumps(body), content_type="application/json", headers=headers)


def test_one_key_of_a_download_and_another_task_starts_both():
    alice = signed_in("alice")
    one = start(alice, {"task": "demo_task"}, **{"Idempotency-Key": "k"})
    two = download(alice, DOWNLOAD, "k")
    assert [one.status_code, two.status_code] == [202, 202]
    assert TaskRun.objects.get(pk=two.json()["task_id"]).name == download_reports.name


def test_one_key_with_other_arguments_of_a_download_is_409():
    alice = signed_in("alice")
    assert download(alice, DOWNLOAD, "k").status_code == 202
    answer = download(alice, {**DOWNLOAD, "seller_id": "S2"}, "k")
    assert answer.status_code == 409
    assert "other arguments" in answer.json()["errors"]["Idempotency-Key"][0]
    assert download(alice, DOWNLOAD, "k").status_code == 202
    assert TaskRun.objects.count() == 1


def test_an_active_download_goes_along_when_its_visitor_signs_in():
    alice = visitor()
    before = download(alice, DOWNLOAD, "d").json()["task_id"]
    signed_in("alice", password="a long enough one")
    alice.post("/login/", {"username": "alice", "password": "a long enough one"})
    assert download(alice, DOWNLOAD, "another").json()["task_id"] == before
