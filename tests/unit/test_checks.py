"""System checks: each contradiction has an id and a hint."""

from __future__ import annotations

import pytest

from django_starter import checks

PRODUCTION = {
    "PRODUCTION": True,
    "ALLOWED_HOSTS": ["tasks.example.com"],
    "HTTPS": True,
    "PROXIES": 1,
    "TASKS_REQUIRE_LOGIN": True,
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "BROKER_URL": "redis://127.0.0.1:6379/0",
}


def all_checks():
    return [
        *checks.check_contradictions(),
        *checks.check_debug(),
        *checks.check_open_doors(),
        *checks.check_shared_database(),
    ]


@pytest.fixture
def production(settings):
    for name, value in PRODUCTION.items():
        setattr(settings, name, value)
    return settings


def test_production_settings_are_in_order(production):
    assert all_checks() == []


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        ("E001", {"CSRF_TRUSTED_ORIGINS": ["http://tasks.example.com"]}),
        ("E002", {"CELERY_TASK_TIME_LIMIT": 43_200}),
        ("E003", {"METRICS_TOKEN": "short"}),
        ("W001", {"DEBUG": True}),
        ("W002", {"ALLOWED_HOSTS": ["*"]}),
        ("W003", {"HTTPS": False}),
        ("W004", {"PROXIES": 0}),
        ("W005", {"TASKS_REQUIRE_LOGIN": False, "TASKS_STARTS_PER_MINUTE": 0}),
        ("W006", {"BROKER_URL": "amqp://rabbit.example.com//"}),
        ("W007", {"REDIS_URL": "rediss://:secret@redis.example.com:6379/0"}),
    ],
)
def test_a_contradiction_has_an_id_and_a_hint(production, number, changes, monkeypatch):
    monkeypatch.setitem(
        production.DATABASES["default"], "ENGINE", "django.db.backends.sqlite3"
    )  # as without DATABASE_URL
    for name, value in changes.items():
        setattr(production, name, value)
    found = all_checks()
    assert [one.id for one in found] == [f"django_starter.{number}"]
    assert found[0].hint
