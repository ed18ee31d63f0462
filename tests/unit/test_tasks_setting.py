"""`TASKS` is ours and, since Django 6, Django's too: each reads its own part."""

from __future__ import annotations

import django
import pytest

from tasks import defaults

BACKEND = {"default": {"BACKEND": "shop.Backend"}}
#: What a project wrote; what Django finds afterwards, in 6; what nobody reads.
ROWS = {
    "nothing of ours": (BACKEND, BACKEND, []),
    "ours alone": ({"KEEP_RUNS": "1d"}, defaults.IMMEDIATE, []),
    "both": ({"KEEP_RUNS": "1d", **BACKEND}, BACKEND, []),
    "a misspelt one": ({"KEEP_RUN": "1d"}, defaults.IMMEDIATE, ["KEEP_RUN"]),
}


@pytest.mark.parametrize(("written", "left", "unread"), ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("version", [(5, 2, 19, "final", 0), (6, 1, 3, "final", 0)])
def test_each_finds_its_own_part(written, left, unread, version, settings, monkeypatch):
    monkeypatch.setattr(django, "VERSION", version)
    settings.TASKS = written
    settings.TASKS_UNKNOWN = []
    assert defaults.own() == {name: value for name, value in written.items() if name != "default"}
    assert defaults.unknown() == unread
    defaults.leave_backends()
    assert (left if version[0] >= 6 else written) == settings.TASKS
    assert defaults.unknown() == unread
