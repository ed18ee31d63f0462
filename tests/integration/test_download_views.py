"""The addresses of downloads: the form, its limits, whose files they are; and the sample source."""

from __future__ import annotations

import asyncio
import csv
import importlib
import io
import json
import re
import threading
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, cast

import pytest
from django.core.files.base import ContentFile
from django.test import AsyncClient, Client
from django.urls import clear_url_caches
from django.utils import timezone

from tasks import runs
from tasks.downloads import files, sample_source, urls, views
from tasks.downloads.models import ReportFile
from tasks.downloads.report import COLUMNS
from tasks.downloads.tasks import download_reports
from tasks.models import State, TaskRun

from .people import signed_in, visitor

pytestmark = pytest.mark.django_db

GOOD = {"start_date": "2026-01-01", "end_date": "2026-01-31", "seller_id": "SELLER-1, SELLER-2", "launcher": "Alice"}


def ask(client: Client, **changed):
    return client.post("/downloads/", json.dumps({**GOOD, **changed}), content_type="application/json")


def asked(client: Client, **changed) -> TaskRun:
    answer = ask(client, **changed)
    assert answer.status_code == 202, answer.content
    return TaskRun.objects.get(pk=answer.json()["task_id"])


def ended(run: TaskRun, state: str = State.SUCCESS, **result) -> TaskRun:
    runs.claim(run.pk, "w1")
    runs.end(run.pk, state, attempt=1, result=result or None)
    run.refresh_from_db()
    return run


def with_files(run: TaskRun) -> TaskRun:
    for kind in ("csv", "xlsx"):
        name = files.storage().save(f"{run.pk}.{kind}", ContentFile(b"figures"))
        ReportFile.objects.create(
            run_id=run.pk, kind=kind, name=name, filename=f"S.{kind}", size=7, expires_at=timezone.now() + timedelta(1)
        )
    return run


# --- asking -----------------------------------------------------------------------------------------------------------


def test_json_is_answered_with_the_addresses_of_its_run():
    alice = visitor()
    answer = ask(alice)
    run = TaskRun.objects.get()
    assert answer.status_code == 202
    assert answer.json()["task_id"] == run.pk
    assert answer.json()["url"] == f"/tasks/{run.pk}/"
    assert run.kwargs == {
        "start_date": "2026-01-01",
        "end_date": "2026-01-31",
        "sellers": ["SELLER-1", "SELLER-2"],
        "launcher": "Alice",
    }
    assert run.session_key == alice.session.session_key


def test_a_form_goes_home_with_303_and_the_launcher_is_remembered():
    alice = visitor()
    answer = alice.post("/downloads/", {**GOOD, "launcher": "Alice & Söhne"})
    assert (answer.status_code, answer["Location"]) == (303, "/")
    page = alice.get("/").content.decode()
    assert TaskRun.objects.get().pk in page
    assert 'value="Alice &amp; Söhne"' in page


def test_one_form_that_is_wrong_keeps_what_was_typed_and_names_the_field():
    typed = {"start_date": "2026-02-30", "end_date": "2026-01-31", "seller_id": "<b>../x", "launcher": "Alice"}
    answer = visitor().post("/downloads/", typed)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "must be a day that exists, written YYYY-MM-DD, but got 2026-02-30." in page
    assert 'value="2026-02-30"' in page
    assert 'value="2026-01-31"' in page
    assert "&lt;b&gt;../x</textarea>" in page
    assert "<b>../x" not in page
    assert 'value="Alice"' in page
    assert not TaskRun.objects.exists()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"start_date": "2026-02-30"}, "start_date"),
        ({"end_date": "2025-12-31"}, "end_date"),
        ({"end_date": "2999-01-01"}, "end_date"),
        ({"start_date": "2020-01-01"}, "end_date"),
        ({"seller_id": "a/../b"}, "seller_id"),
        ({"seller_id": '"; DROP TABLE tasks_sales; --'}, "seller_id"),
        ({"seller_id": "<img src=x onerror=alert(1)>"}, "seller_id"),
        ({"seller_id": ",".join(f"SELLER-{number:05}" for number in range(10_000))}, "seller_id"),
        ({"launcher": " "}, "launcher"),
        ({"seller_id": ["A"]}, "seller_id"),
        ({"start_date": None}, "start_date"),
    ],
)
def test_what_is_wrong_is_refused_with_its_field_and_nothing_is_queued(changed, field):
    answer = ask(visitor(), **changed)
    assert answer.status_code == 400
    found = answer.json()["errors"]
    assert list(found) == [field]
    assert all(len(sentence) > 20 for sentence in found[field])
    assert not TaskRun.objects.exists()


def test_a_body_that_is_no_json_is_refused():
    answer = visitor().post("/downloads/", "{", content_type="application/json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["body"])


def test_only_a_post_asks():
    assert visitor().get("/downloads/").status_code == 405


# --- the same once more -----------------------------------------------------------------------------------------------


def test_the_same_request_while_one_is_active_shows_that_one():
    alice = visitor()
    first = asked(alice)
    assert asked(alice, launcher="Somebody else").pk == first.pk
    assert asked(alice, seller_id="SELLER-1\nSELLER-2").pk == first.pk
    runs.claim(first.pk, "w1")
    assert asked(alice).pk == first.pk
    assert TaskRun.objects.count() == 1


def test_another_request_and_another_visitor_have_their_own():
    alice, bob = visitor(), visitor()
    ids = {
        asked(alice).pk,
        asked(alice, end_date="2026-01-30").pk,
        asked(alice, seller_id="SELLER-1").pk,
        asked(bob).pk,
    }
    assert len(ids) == 4


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILURE, State.REVOKED])
def test_after_its_end_the_same_request_is_a_new_one(state):
    alice = visitor()
    first = ended(asked(alice), state)
    assert asked(alice).pk != first.pk


def test_run_again_while_one_is_active_shows_that_one_too():
    alice = visitor()
    first = ended(asked(alice))
    active = asked(alice)
    answer = alice.post(f"/tasks/{first.pk}/retry/", headers={"Accept": "application/json"})
    assert answer.json()["task_id"] == active.pk


# --- files ------------------------------------------------------------------------------------------------------------


async def read(client: AsyncClient, address: str):
    answer: Any = await client.get(address)
    body = b"".join([piece async for piece in answer.streaming_content]) if answer.streaming else answer.content
    return answer, body


@pytest.mark.django_db(transaction=True)
async def test_the_owner_downloads_and_everybody_else_gets_404():
    from asgiref.sync import sync_to_async

    alice = await sync_to_async(visitor)()
    run = await sync_to_async(lambda: with_files(ended(asked(alice))))()
    client = AsyncClient()
    client.cookies = alice.cookies
    answer, body = await read(client, f"/downloads/{run.pk}/xlsx/")
    assert (answer.status_code, body) == (200, b"figures")
    assert answer["Content-Disposition"] == 'attachment; filename="S.xlsx"'
    assert answer["Content-Length"] == "7"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer["Cache-Control"]
    assert (await read(client, f"/downloads/{run.pk}/exe/"))[0].status_code == 404
    for other in (visitor, lambda: signed_in("bob"), lambda: signed_in("staff", is_staff=True)):
        stranger = AsyncClient()
        stranger.cookies = (await sync_to_async(other)()).cookies
        assert (await read(stranger, f"/downloads/{run.pk}/xlsx/"))[0].status_code == 404


def test_links_stand_on_the_runs_page_and_in_the_list_for_the_owner_only():
    alice = visitor()
    run = with_files(ended(asked(alice)))
    for address in ("/", f"/tasks/{run.pk}/"):
        page = alice.get(address).content.decode()
        assert f'href="/downloads/{run.pk}/csv/"' in page
        assert f'href="/downloads/{run.pk}/xlsx/"' in page
        assert "7 bytes" in page.replace("\xa0", " ")
    staff = signed_in("staff", is_staff=True)
    assert "/xlsx/" not in staff.get(f"/tasks/{run.pk}/").content.decode()


def test_an_expired_file_is_neither_offered_nor_given():
    alice = visitor()
    run = with_files(ended(asked(alice)))
    ReportFile.objects.update(expires_at=timezone.now())
    assert "/xlsx/" not in alice.get("/").content.decode()
    assert alice.get(f"/downloads/{run.pk}/xlsx/").status_code == 404


def test_a_file_that_somebody_deleted_is_404():
    alice = visitor()
    run = with_files(ended(asked(alice)))
    for file in ReportFile.objects.all():
        files.storage().delete(file.name)
    assert alice.get(f"/downloads/{run.pk}/csv/").status_code == 404


# --- what failed ------------------------------------------------------------------------------------------------------

FAILED: dict[str, Any] = {"days_failed": 1, "failed": [{"report": "SELLER-1 2026-01-03", "why": "<b>404</b>"}]}


def test_failed_days_are_listed_and_fetched_alone_by_a_button():
    alice = visitor()
    run = ended(asked(alice), **FAILED)
    page = alice.get(f"/tasks/{run.pk}/").content.decode()
    assert "SELLER-1 2026-01-03" in page
    assert "&lt;b&gt;404&lt;/b&gt;" in page
    assert f'action="/downloads/{run.pk}/missing/"' in page
    answer = alice.post(f"/downloads/{run.pk}/missing/", headers={"Accept": "application/json"})
    again = TaskRun.objects.get(pk=answer.json()["task_id"])
    assert answer.status_code == 202
    assert again.kwargs == {**run.kwargs, "continues": run.pk}
    assert asked(alice).pk == again.pk  # the same sellers and days
    assert alice.post(f"/downloads/{run.pk}/missing/")["Location"] == f"/tasks/{again.pk}/"


def test_nothing_missing_is_409_and_a_strangers_is_404():
    alice = visitor()
    run = ended(asked(alice), days_failed=0)
    answer = alice.post(f"/downloads/{run.pk}/missing/", headers={"Accept": "application/json"})
    assert answer.status_code == 409
    assert alice.post(f"/downloads/{run.pk}/missing/").status_code == 302
    run = ended(asked(alice), **FAILED)
    assert visitor().post(f"/downloads/{run.pk}/missing/").status_code == 404


def test_a_call_in_a_shell_is_accepted_too():
    run = TaskRun.objects.get(pk=download_reports.delay("2026-01-01", "2026-01-02", ["A"], "me").id)
    assert run.active_key
    assert (
        download_reports.delay(start_date="2026-01-01", end_date="2026-01-02", sellers=["A"], launcher="x").id == run.pk
    )


# --- the sample source ------------------------------------------------------------------------------------------------


@pytest.fixture
def served(settings):
    settings.SAMPLE_SOURCE = True
    importlib.reload(urls)
    importlib.reload(importlib.import_module("tasks.urls"))
    importlib.reload(importlib.import_module(settings.ROOT_URLCONF))
    clear_url_caches()
    yield
    settings.SAMPLE_SOURCE = False
    importlib.reload(urls)
    importlib.reload(importlib.import_module("tasks.urls"))
    importlib.reload(importlib.import_module(settings.ROOT_URLCONF))
    clear_url_caches()


def test_the_sample_source_is_not_there_unless_it_is_asked_for():
    assert visitor().get("/sample-source/SELLER-1/2026-01-31.csv").status_code == 404


def test_the_sample_source_says_the_same_every_time(served):
    client = visitor()
    first, second = (client.get("/sample-source/SELLER.1/2026-01-31.csv") for _ in range(2))
    assert first.status_code == 200
    assert first.content == second.content
    rows = list(csv.DictReader(io.StringIO(first.content.decode())))
    assert tuple(rows[0]) == COLUMNS
    assert 20 <= len(rows) <= sample_source.CATALOGUE
    assert client.get("/sample-source/SELLER.2/2026-01-31.csv").content != first.content


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("A/2026-01-31.csv?error_500=1", 500),
        ("A/2026-01-31.csv?error_429=1", 429),
        ("A/2026-01-31.csv?missing=1", 404),
        ("MISSING/2026-01-31.csv", 404),
        ("A/2026-02-30.csv", 404),
        ("A/2026-01-31.csv?latency=x", 404),
    ],
)
def test_the_sample_source_goes_wrong_on_request(served, address, status):
    assert visitor().get(f"/sample-source/{address}").status_code == status


def test_the_sample_source_breaks_rows_on_request(served):
    text = visitor().get("/sample-source/A/2026-01-31.csv?broken=0.5").content.decode()
    assert 5 < len(re.findall(r"^,\?,", text, re.MULTILINE)) < 50


# --- clients that leave -----------------------------------------------------------------------------------------------


class Opened:
    """A storage that counts what is open; `gate` holds back an open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.opened = self.closed = 0

    def exists(self, name: str) -> bool:
        return True

    def open(self, name: str) -> Any:
        self.begun.set()
        self.gate.wait(10)
        self.opened += 1
        file = ContentFile(b"figures" * 100_000)

        def close() -> None:
            self.closed += 1

        file.close = close  # type: ignore[method-assign]
        return file


def test_a_client_that_leaves_before_the_first_piece_leaves_no_file_open(monkeypatch):
    alice = visitor()
    run = with_files(ended(asked(alice)))
    opened = Opened()
    monkeypatch.setattr(files, "storage", lambda: opened)
    alice.get(f"/downloads/{run.pk}/csv/")  # its answer is never read
    assert opened.opened == opened.closed


@pytest.mark.parametrize("when", ["while it is opened", "after the first piece", "never"])
async def test_a_file_is_closed_whenever_its_client_leaves(monkeypatch, when):
    opened = Opened()
    monkeypatch.setattr(files, "storage", lambda: opened)
    pieces = views._pieces("x.csv")
    if when == "while it is opened":
        opened.gate.clear()
        first = asyncio.ensure_future(anext(pieces))
        await asyncio.to_thread(opened.begun.wait, 10)
        first.cancel()
        await asyncio.wait([first])
        opened.gate.set()
    elif when == "after the first piece":
        await anext(pieces)
        await cast(AsyncGenerator[bytes], pieces).aclose()
    else:
        assert len(b"".join([piece async for piece in pieces])) == 700_000
    async with asyncio.timeout(5):
        while (opened.opened, opened.closed) != (1, 1):
            await asyncio.sleep(0.01)


def test_the_page_knows_of_which_task_it_must_fetch_the_files_at_the_end():
    alice = visitor()
    asked(alice)
    assert f'data-of="{download_reports.name}"' in alice.get("/").content.decode()
