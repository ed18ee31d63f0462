"""The environment: typed, and nonsense is refused by name."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from django_starter import environment

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-secret-key-of-more-than-fifty-characters-1234567890-abc"
PRODUCTION = {"ALLOWED_HOSTS": "tasks.example.com", "SECRET_KEY": KEY}


def settings(code: str = "", command: Sequence[str] = (), **env: Any) -> subprocess.CompletedProcess[str]:
    """What a fresh process makes of this environment: `code` with the settings as `s`, or a manage.py `command`."""
    run = ["manage.py", *command] if command else ["-c", f"from django_starter import settings as s; {code}"]
    kept = {name: os.environ[name] for name in ("PATH", "DEV_DIR", "ENV_FILE", "HOME") if name in os.environ}
    kept["REDIS_URL"] = "redis://127.0.0.1:1/0"
    return subprocess.run([sys.executable, *run], cwd=ROOT, env=kept | env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_a_flag_is_on(monkeypatch, value):
    monkeypatch.setenv("X", value)
    assert environment.flag("X", False) is True


@pytest.mark.parametrize("value", ["0", "False", "no", "off"])
def test_a_flag_is_off(monkeypatch, value):
    monkeypatch.setenv("X", value)
    assert environment.flag("X", True) is False


@pytest.mark.parametrize("value", ["", "  "])
def test_what_is_empty_is_not_set(monkeypatch, value):
    monkeypatch.setenv("X", value)
    assert environment.flag("X", True) is True
    assert environment.number("X", 7, 0, 9) == 7
    assert environment.words("X", ["a"]) == ["a"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "flase"),
        ("TASKS_REQUIRE_LOGIN", "2"),
        ("STARTS_PER_MINUTE", "-1"),
        ("STARTS_PER_MINUTE", "many"),
        ("PROXIES", "10"),
        ("LOG_FORMAT", "xml"),
        ("DATABASE_URL", "mysql://db/x"),
        ("DATABASE_URL", "postgres"),
        ("REDIS_URL", "http://redis"),
        ("BROKER_URL", "kafka://b"),
        ("BROKER_URL", "amqp://one;two"),
        ("BROKER_URL", "amqp://one;amqps://two"),
        ("REDIS_URL", "amqp://rabbit"),
        ("RELEASE", "x" * 65),
        ("ALERT_WAIT", "0"),
        ("ALERT_WAIT", "5m"),
        ("SITE_URL", "tasks.example.com"),
        ("SITE_URL", "ftp://tasks.example.com"),
    ],
)
def test_nonsense_is_refused_and_named(name, value):
    done = settings(**{name: value})
    assert done.returncode
    last = done.stderr.strip().splitlines()[-1]
    assert name in last
    assert "must" in last


def test_alerts_have_addresses_a_wait_and_links_to_the_site():
    code = "print(s.TASKS_ALERT_URLS, s.TASKS_ALERT_WAIT, s.TASKS_RELEASE, s.TASKS_SITE_URL)"
    done = settings(
        code, ALERT_URLS=" json://a  mailto://b ", ALERT_WAIT="60", RELEASE="7.1", SITE_URL="https://a.b/c/"
    )
    assert done.stdout.strip() == "['json://a', 'mailto://b'] 60 7.1 https://a.b/c", done.stderr


#: Origins, hosts, the site's path and whether others reach it → where links lead.
SITES = {
    "an origin": (["https://tasks.example.com"], ["tasks.example.com"], "", True, "https://tasks.example.com"),
    "a pattern is no address": (
        ["https://*.example.com"],
        [".example.com", "a.example.com"],
        "",
        True,
        "https://a.example.com",
    ),
    "a host": ([], ["tasks.example.com"], "/app", True, "https://tasks.example.com/app"),
    "this machine": ([], ["localhost", "127.0.0.1"], "", False, "http://localhost:8001"),
    "any host": ([], ["*"], "", False, "http://localhost:8001"),
}


@pytest.mark.parametrize("name", SITES)
def test_links_lead_to_the_first_that_is_let_in(monkeypatch, name):
    for one in ("SITE_URL", "PORT"):
        monkeypatch.delenv(one, raising=False)
    origins, hosts, path, production, address = SITES[name]
    assert environment.site_url(origins, hosts, path, production=production) == address


def test_a_refused_address_does_not_show_its_password():
    done = settings(DATABASE_URL="mysql://root:hunter2@db/x")
    assert "hunter2" not in done.stderr.splitlines()[-1]


def test_on_this_machine_alone_everything_is_open_and_debug_is_off():
    done = settings("print(s.DEBUG, s.PRODUCTION, s.TASKS_REQUIRE_LOGIN, s.HTTPS, s.TASKS_STARTS_PER_MINUTE)")
    assert done.stdout.split() == ["False", "False", "False", "False", "0"], done.stderr


def test_a_host_that_others_reach_closes_everything():
    code = "print(s.PRODUCTION, s.TASKS_REQUIRE_LOGIN, s.SESSION_COOKIE_SECURE, s.SECURE_HSTS_SECONDS, s.PROXIES)"
    done = settings(code, **PRODUCTION)
    assert done.stdout.split() == ["True", "True", "True", "31536000", "1"], done.stderr


def test_a_host_that_others_reach_demands_a_secret_key():
    done = settings(ALLOWED_HOSTS="tasks.example.com")
    assert "SECRET_KEY must be set" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("key", ["short", "x" * 60, "abcd" * 20, KEY[:49]])
def test_a_host_that_others_reach_demands_a_key_that_cannot_be_guessed(key):
    done = settings(ALLOWED_HOSTS="tasks.example.com", SECRET_KEY=key)
    assert f"SECRET_KEY has {len(key)} characters" in done.stderr
    assert key not in done.stderr.replace("SECRET_KEY", "")
    assert settings("print(s.SECRET_KEY)", SECRET_KEY=key).stdout.strip() == key  # on one's own machine


@pytest.mark.slow
@pytest.mark.parametrize("debug", ["1", "0"])
def test_debug_is_on_only_when_somebody_says_so(debug):
    assert settings("print(s.DEBUG)", DEBUG=debug).stdout.strip() == str(debug == "1")


@pytest.mark.slow
def test_check_deploy_is_silent_under_production_settings():
    done = settings(command=("check", "--deploy", "--fail-level", "WARNING"), **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout


def test_the_file_counts_as_environment_and_what_is_set_goes_before_it(tmp_path):
    file = tmp_path / "env"
    file.write_text("# a comment\nREDIS_PREFIX=from-file\nLOG_FORMAT=json\n")
    code = "print(s.REDIS_PREFIX, s.LOGGING['handlers']['console']['formatter'])"
    assert settings(code, ENV_FILE=str(file)).stdout.split() == ["from-file", "json"]
    assert settings(code, ENV_FILE=str(file), REDIS_PREFIX="mine").stdout.split() == ["mine", "json"]


def test_a_secret_is_made_once_and_private(tmp_path):
    path = tmp_path / "new" / "secret"
    first = environment.made_once(path, 50)
    assert len(first) > 50
    assert environment.made_once(path, 50) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["secret"]


def names_in(path: Path) -> set[str]:
    """The names that the example file shows, commented out or not."""
    lines = (line.removeprefix("#").strip() for line in path.read_text().splitlines())
    return {line.partition("=")[0] for line in lines if "=" in line and line.partition("=")[0].isupper()}


def test_the_example_names_everything_that_is_read_and_nothing_else():
    read = set()
    for path in (ROOT / "django_starter").rglob("*.py"):
        pattern = r"\b(?:text|flag|number|words|choice|address|json_object|server_port)\(\s*\"([A-Z_]+)\""
        read |= set(re.findall(pattern, path.read_text()))
    read -= {"EMBEDDED_VALKEY", "VALKEY_PORT", "DATABASE_POOL", "X"}  # the start script's own
    assert read - names_in(ROOT / ".env.example") == set()
    assert names_in(ROOT / ".env.example") - read <= {"DEV_DIR", "ENV_FILE"}
