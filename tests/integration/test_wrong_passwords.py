"""Wrong passwords are limited, by account and by address, wherever a password can be typed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

pytestmark = pytest.mark.django_db

RIGHT = "a long enough one"
FORMS = ["/login/", "/admin/login/"]


@pytest.fixture(autouse=True)
def people(settings):
    settings.PROXIES = 1
    for name in ("alice", "bob"):
        get_user_model().objects.create_user(name, password=RIGHT, is_staff=True)


def log_in(
    name: str, password: str = "wrong", address: str = "198.51.100.1", path: str = "/login/", **headers: str
) -> Any:
    headers = {"X-Forwarded-For": f"203.0.113.99, {address}", **headers}
    return Client().post(path, {"username": name, "password": password}, headers=headers)


@pytest.mark.slow
@pytest.mark.parametrize("path", FORMS)
def test_of_forty_wrong_passwords_for_one_account_ten_are_tried(path):
    answers = [log_in("alice", address=f"198.51.100.{number}", path=path) for number in range(40)]
    assert [one.status_code for one in answers] == [200] * 9 + [429] * 31
    assert "Try again in 5 minutes." in answers[-1].content.decode()
    assert answers[-1]["Retry-After"] == "300"
    assert log_in("alice", RIGHT, address="198.51.100.200", path=path).status_code == 429
    assert log_in("bob", RIGHT, address="198.51.100.200", path=path).status_code == 302


@pytest.mark.slow
@pytest.mark.parametrize("path", FORMS)
def test_of_forty_accounts_that_one_address_tries_ten_are_tried(path):
    answers = [log_in(f"nobody-{number}", path=path) for number in range(40)]
    assert [one.status_code for one in answers] == [200] * 9 + [429] * 31
    assert log_in("alice", RIGHT, path=path).status_code == 429
    assert log_in("alice", RIGHT, address="198.51.100.2", path=path).status_code == 302


def test_after_the_pause_the_right_password_is_right_also_while_others_go_on():
    for _ in range(20):
        log_in("alice")
    attempts: Any = apps.get_model("axes", "AccessAttempt")
    attempts.objects.update(attempt_time=timezone.now() - timedelta(minutes=5, seconds=1))
    assert log_in("alice", RIGHT).status_code == 302


def test_a_right_password_begins_anew():
    for _ in range(3):
        assert [log_in("alice").status_code for _ in range(8)] == [200] * 8
        assert log_in("alice", RIGHT).status_code == 302


def test_a_script_reads_the_same_sentence_and_an_unknown_account_is_answered_alike():
    known = [log_in("alice", address=f"198.51.100.{number}", Accept="application/json") for number in range(12)]
    unknown = [log_in("nobody", address=f"198.51.101.{number}", Accept="application/json") for number in range(12)]
    assert [one.status_code for one in known] == [one.status_code for one in unknown]
    assert known[-1].json() == unknown[-1].json()
    assert "wrong passwords" in known[-1].json()["errors"]["login"][0]


@pytest.mark.parametrize("address", ["", "nonsense", "::1", "1.2.3.4:80"])
def test_an_address_that_is_none_breaks_nothing(address):
    assert log_in("alice", address=address).status_code == 200
    assert log_in("alice", RIGHT, address=address).status_code == 302
