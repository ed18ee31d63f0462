"""What a person who is new here wants to know, each within three clicks of home: links, buttons and choices."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urljoin

import pytest
from django.test import Client
from django.utils import timezone

from tasks.models import Release, State, TaskRun

from .people import signed_in, started

pytestmark = pytest.mark.django_db

NOW = timezone.now()
#: Clicks that a question may take.
MOST = 3


@pytest.fixture
def sarah() -> Client:
    """Of the staff, with a site on which a few things have happened."""
    client = signed_in("sarah", is_staff=True)
    owner = TaskRun.objects.get(pk=started(client, task="demo_task")).owner
    Release.objects.create(name="a1b2c3d", since=NOW - timedelta(minutes=30))
    same = {"owner": owner, "queue": "celery", "accepted_at": NOW - timedelta(minutes=20), "worker": "w1@box:7:ab"}
    ended = {"finished_at": NOW - timedelta(minutes=10), "started_at": NOW - timedelta(minutes=15), "attempt": 1}
    failure = {"state": State.FAILURE, "error": {"type": "KeyError", "message": "'SKU-1'"}, **same, **ended}
    for number, name, count in ((1, "shop.save", 3), (2, "shop.send", 5)):
        for _ in range(count):
            TaskRun.objects.create(name=name, fingerprint=f"KeyError in f{number} (shop/orders.py)", **failure)
    parent = TaskRun.objects.create(name="shop.import", state=State.SUCCESS, **same, **ended)
    TaskRun.objects.create(name="tasks.tasks.demo_task", parent_id=parent.pk, **failure)
    hung = {"name": "shop.hung", "state": State.STARTED, "attempt": 1, "started_at": NOW - timedelta(minutes=15)}
    TaskRun.objects.create(**{**same, **hung, "worker": "w1@box:7:ab"})
    return client


#: What one wants to know: which clicks lead there, from home, and what then is to be read. Clicks are links by what
#: they say, or "press" and a button's words, or "choose" and the filter's name and value.
QUESTIONS: dict[str, tuple[list[str], str]] = {
    "why does mine wait?": ([], r"No worker is running|Redis is down|The broker is down"),
    "what has failed of mine?": (["failed"], r"KeyError: .SKU-1"),
    "run the failed parts again": (["press Run the failed again"], r"1 started again"),
    "which task fails most since the release?": (
        ["Failures", "The most since a1b2c3d"],
        r"page 1 of 1 KeyError in f2.*?5 times.*?Task send",
    ),
    "run all again that failed alike": (["Failures", "press Run again", r"press Start \d runs again"], r"act_on_runs"),
    "where does it hang?": (["hung", r"press Where is it\?"], r"Where it is"),
    "who else's does not move?": (["All runs", "choose quiet=1"], r"none for long"),
    "is something wrong now, since when?": (["Now"], r"The broker is down: 1 wait"),
    "what waits in which queue, who works on what?": (["Now"], r"Queues.*celery.*Workers"),
    "what were its arguments, what came of it?": (["import"], r"Arguments.*Result"),
    "what has it started, and what became of that?": (["import"], r"1 part.*1 failed.*demo_task"),
    "which worker had it?": (["All runs"], r"w1@box"),
    "when does it run by itself?": (["Schedules"], r"every day"),
    "how is it started from a script?": (["press Start…"], r"The same from a script"),
    "what is running at all, and how do I start the rest?": ([], r"Workers.*celery -A"),
}


class Reader:
    """Follows what a page without script offers."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.go("/")

    def go(self, path: str, form: dict[str, str] | None = None) -> None:
        self.path = urljoin(getattr(self, "path", "/"), path)
        answer = self._client.get(self.path) if form is None else self._client.post(self.path, form)
        while answer.status_code in (302, 303):
            self.path = urljoin(self.path, answer["Location"])
            answer = self._client.get(self.path)
        assert answer.status_code == 200, (self.path, answer.status_code)
        self.page = answer.content.decode()

    def click(self, what: str) -> None:
        kind, _, words = what.partition(" ")
        if kind == "press":
            return self._press(words)
        if kind == "choose":
            name = words.partition("=")[0]
            assert re.search(rf'<select name="{name}"', self.page), f"no such choice: {words}"
            return self.go(f"?{words}")
        for href, said in re.findall(r'<a\b[^>]*?href="([^"]*)"[^>]*>(.*?)</a>', self.page, re.DOTALL):
            if readable(said) == what:
                return self.go(unescape(href))
        raise AssertionError(f"no such link: {what}")

    def _press(self, words: str) -> None:
        page = self.page.partition("<template")[0]
        for opened, inner in re.findall(r"<form\b([^>]*)>(.*?)</form>", page, re.DOTALL):
            for attributes, said in re.findall(r"<button\b([^>]*)>(.*?)</button>", inner, re.DOTALL):
                if re.fullmatch(words, readable(said)):
                    return self._send(opened, inner, attributes)
        for attributes, said in re.findall(r"<button\b([^>]*\bform=[^>]*)>(.*?)</button>", page, re.DOTALL):
            if re.fullmatch(words, readable(said)):
                form = re.search(r'<form id="act"([^>]*)>(.*?)</form>', page, re.DOTALL)
                assert form
                return self._send(form[1], form[2], attributes)
        raise AssertionError(f"no such button: {words}")

    def _send(self, opened: str, inner: str, button: str) -> None:
        found, pressed = attributes_of(opened), attributes_of(button)
        inputs = [attributes_of(one) for one in re.findall(r"<input\b([^>]*)>", inner)]
        form = {one["name"]: one.get("value", "") for one in inputs if one.get("type") == "hidden"}
        form |= {pressed["name"]: pressed.get("value", "")} if "name" in pressed else {}
        action = pressed.get("formaction") or found.get("action") or self.path
        if found.get("method") == "post":
            return self.go(action, form)
        path, _, fragment = action.partition("#")
        words = "&".join(f"{name}={value}" for name, value in form.items())
        return self.go(f"{path}?{words}" + (f"#{fragment}" if fragment else ""))


def attributes_of(tag: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in re.findall(r'([\w-]+)="([^"]*)"', tag)}


def readable(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html))).strip()


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_answered_within_three_clicks(sarah, question, monkeypatch):
    monkeypatch.setattr("tasks.runs.where.WITHIN", 0.1)
    clicks, answer = QUESTIONS[question]
    assert len(clicks) <= MOST
    reader = Reader(sarah)
    for one in clicks:
        reader.click(one)
    assert re.search(answer, readable(reader.page)), readable(reader.page)
