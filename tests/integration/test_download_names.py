"""Names with joiners: families, flags, Persian, Hindi. They are taken, kept, and shown as they were typed."""

from __future__ import annotations

import html
import json

import pytest

from tasks.downloads.form import DownloadForm
from tasks.models import TaskRun
from tasks.runs.state import public_state

from .people import visitor

pytestmark = pytest.mark.django_db

NAMES = {
    "a family": "Ada \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "Persian": "می\u200cخواهم",
    "Hindi": "क्\u200dष श्री",
    "a heart": "Bo \u2764\ufe0f\u200d\U0001f525",
    "Scotland": "Iona \U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "with a mark of direction": "שלום\u200f!",
    "Arabic": "محمد\u061c",
    "an emoji of next year": "Kim \U0001fae9",
    "combining": "Zoe\u0308",
    "an apostrophe": "O'Hara \\u200d",  # a backslash of the person's own
}
REFUSED = {
    "turned around": "abc\u202egpj.exe",
    "isolated": "a\u2066b",
    "a bell": "a\x07b",
    "nothing to see": "\u200d\u200c",
    "only a mark": "\u200e",
    "private": "a\ue000",
    "no character": "a\ufffe",
    "an invisible space": "a\u200bb",
    "a byte order mark": "\ufeffa",
}


def asked(launcher: str) -> dict[str, str]:
    return {"start_date": "2026-01-01", "end_date": "2026-01-01", "seller_id": "s1", "launcher": launcher}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_is_taken_and_shown_as_it_is(name):
    alice = visitor()
    answer = alice.post("/downloads/", asked(name), headers={"Accept": "application/json"})
    assert answer.status_code == 202, answer.content
    run = TaskRun.objects.get()
    assert run.kwargs["launcher"] == name
    shown = public_state(run)["args_text"]
    assert name in shown or repr(name)[1:-1] in shown  # a quote, a backslash: as Python writes them
    if "\\" not in name:
        assert name in shown
        for path in ("/", f"/tasks/{run.pk}/"):
            assert name in html.unescape(alice.get(path).content.decode()), path
    snapshot = alice.get(f"/api/tasks/{run.pk}/").json()
    assert snapshot["task"]["args_text"] == shown
    json.dumps(snapshot).encode()


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_what_hides_or_turns_text_is_refused_with_a_sentence(name):
    form = DownloadForm(asked(name))
    assert not form.is_valid()
    assert list(form.errors) == ["launcher"]
    assert str(form.errors["launcher"][0]).startswith("Launcher ")
