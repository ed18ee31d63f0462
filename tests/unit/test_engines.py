"""DOWNLOADS_ENGINE: what is not there is said in one sentence, by name."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_starter import engines


@pytest.mark.parametrize(
    ("value", "there", "sentence"),
    [
        ("hueyy", True, "DOWNLOADS_ENGINE must be one of celery, huey, but got 'hueyy'"),
        ("huey", False, "DOWNLOADS_ENGINE=huey needs a package: pip install huey"),
    ],
)
def test_an_engine_that_is_not_there_is_refused_by_name(monkeypatch, value, there, sentence):
    monkeypatch.setenv("DOWNLOADS_ENGINE", value)
    monkeypatch.setattr(engines, "find_spec", lambda name: object() if there else None)
    with pytest.raises(ImproperlyConfigured, match=sentence):
        engines.chosen()


@pytest.mark.parametrize(("value", "worker"), [("", ()), ("celery", ()), ("huey", ("manage.py", "run_huey"))])
def test_huey_has_a_worker_beside_celery_s(monkeypatch, value, worker):
    monkeypatch.setenv("DOWNLOADS_ENGINE", value)
    assert engines.worker_beside() == worker
