"""The pieces of `manage.py doctor` that need no system: its clocks, its screen, its bounds, its addresses."""

from __future__ import annotations

import threading

import pytest
from django.core.management.color import color_style

from django_starter.doctor import examination
from django_starter.doctor.examination import Question, bounded, examine
from django_starter.doctor.finding import Finding, failed, ok, skipped
from django_starter.doctor.patient import Patient
from django_starter.doctor.screen import lines, style_for, summary
from django_starter.doctor.servers import judge_clocks, mend
from django_starter.doctor.site import Site
from tests.waiting import wait_until

HERE = Site("http", "127.0.0.1", 8001, "localhost:8001")


@pytest.mark.parametrize(("seconds", "status"), [(0.0, "ok"), (-1.9, "ok"), (2.5, "failed"), (-3600.0, "failed")])
def test_clocks_that_differ_by_more_than_a_claim_allows_are_a_fault(seconds, status):
    found = judge_clocks({"Redis": 0.001, "the database": seconds})
    assert found.status == status
    assert f"the database {seconds:+.3f} s" in found.detail
    assert ("timedatectl" in found.hint) == (status == "failed")


def test_a_finding_is_one_line_and_each_mend_another():
    style = style_for(color_style(force_color=True))
    text = list(lines("web", failed("Nobody answers.", "./start_dev.sh\n./start_all_services.sh"), style))
    assert text[0].startswith("\x1b[")
    assert text[0].endswith("web          Nobody answers.")
    assert [line.strip() for line in text[1:]] == ["→ ./start_dev.sh", "→ ./start_all_services.sh"]
    assert next(iter(lines("broker", ok("Valkey", 0.0004), style))).endswith("Valkey, 0.4 ms")


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    style = style_for(color_style(force_color=True))
    assert "\x1b" not in "".join(lines("web", failed("x", "y"), style)) + summary([ok("x"), skipped("y")], style)


def test_what_raises_or_hangs_is_named_and_what_needs_it_is_skipped(monkeypatch):
    released, well = threading.Event(), Patient(HERE)

    def hang(_: Patient) -> Finding:
        released.wait(20)
        return ok("too late")

    def burst(_: Patient) -> Finding:
        raise RuntimeError("on two\nlines")

    questions = (
        Question("database", hang, mend="look at it", patience=0.05),
        Question("migrations", burst, ("database",)),
        Question("web", burst, mend="start it"),
        Question("socket", burst, ("migrations", "web")),
        Question("disk", lambda _: ok("fine")),
        Question("flower", burst),
    )
    monkeypatch.setattr(examination, "QUESTIONS", questions)
    found = dict(examine(well, ["flower"]))
    released.set()
    assert found["database"] == failed("No answer within 0.05 s.", "look at it")
    assert found["migrations"] == skipped("the database does not answer")
    assert found["web"] == failed("RuntimeError: on two lines", "start it")
    assert found["socket"] == skipped("the database does not answer")
    assert found["disk"] == ok("fine")
    assert found["flower"] == skipped("left out")


def test_a_question_that_hangs_does_not_hold_the_process():
    released = threading.Event()
    before = threading.active_count()
    assert bounded(released.wait, 0.05) is None
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "doctor")
    released.set()
    wait_until(lambda: threading.active_count() <= before)


@pytest.mark.parametrize(
    ("allowed", "name"),
    [(["localhost", "127.0.0.1"], "localhost:8001"), (["*"], "localhost:8001"), ([".example.com"], "example.com:8001")],
)
def test_a_site_is_asked_by_a_name_that_it_serves(settings, allowed, name):
    settings.ALLOWED_HOSTS = allowed
    assert Site.here() == Site("http", "127.0.0.1", 8001, name)


def test_a_site_elsewhere_is_asked_as_its_visitors_do():
    assert Site.at("https://tasks.example.com/") == Site("https", "tasks.example.com", 443, "tasks.example.com")
    assert Site.at("http://[::1]:9000").url == "http://[::1]:9000"
    for nonsense in ("tasks.example.com", "ftp://x", "http://"):
        with pytest.raises(ValueError, match="Expected an address"):
            Site.at(nonsense)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("redis://:secret@data.example.com:6380/0", "nc -vz data.example.com 6380 "),
        ("amqps://us:secret@one.example.com;amqps://us:secret@two.example.com", "nc -vz one.example.com 5671 "),
        ("amqp://guest:secret@127.0.0.1:1//", "systemctl start rabbitmq-server"),
    ],
)
def test_a_mend_names_the_server_and_no_password(settings, url, line):
    settings.BROKER_URL = url
    assert mend("BROKER_URL").startswith(line)
    assert "secret" not in mend("BROKER_URL")
