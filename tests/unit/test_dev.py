"""The pieces of start_dev.sh that need no process."""

from __future__ import annotations

import socket

import pytest

from django_starter.dev.deaths import MOST, WITHIN, Deaths, how, killed_by
from django_starter.errors import Trouble
from django_starter.processes.ports import free_port, is_free, port_of
from django_starter.processes.valkey import answers_ping, shown, valkey_command


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "80.5", "٨"])
def test_a_port_that_is_none_is_refused_by_name(value):
    with pytest.raises(Trouble, match="is not a port"):
        port_of({"PORT": value}, "PORT", 8001)


@pytest.mark.parametrize(("environ", "port"), [({}, 8001), ({"PORT": ""}, 8001), ({"PORT": "9000"}, 9000)])
def test_a_port_has_a_default(environ, port):
    assert port_of(environ, "PORT", 8001) == port


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_a_port_on_which_somebody_listens_is_not_free(host):
    port = free_port()
    assert is_free(port)
    with socket.create_server((host, port)):
        assert not is_free(port)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://:secret@example.com:6379/0", "redis://:***@example.com:6379/0"),
        ("rediss://alice:p%40ss@example.com/1?ssl_cert_reqs=none", "rediss://alice:***@example.com/1"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("sentinel://:secret@one:26379/0;sentinel://two", "sentinel://:***@one:26379/0;sentinel://two"),
        ("amqp://alice:p;w@one//", "amqp://alice:***@one//"),
    ],
)
def test_a_password_is_never_shown(url, text):
    assert shown(url) == text


def test_the_embedded_server_keeps_what_it_was_given(tmp_path):
    command = " ".join(valkey_command(tmp_path, 1234))

    for option in ("--bind 127.0.0.1", "--appendonly yes", "--maxmemory-policy noeviction", f"--dir {tmp_path}"):
        assert option in command


def test_a_service_may_die_some_times_and_not_again_and_again():
    now = [0.0]
    deaths = Deaths(lambda: now[0])
    assert [deaths.forgive("web") for _ in range(MOST + 1)] == [True] * MOST + [False]
    assert deaths.forgive("worker")
    now[0] += WITHIN
    assert deaths.forgive("web")


@pytest.mark.parametrize(
    ("code", "name"), [(-9, "SIGKILL"), (247, "SIGKILL"), (137, "SIGKILL"), (241, "SIGTERM"), (0, ""), (1, ""), (3, "")]
)
def test_how_a_service_ended_is_told_also_when_its_parent_tells_it(code, name):
    assert (found.name if (found := killed_by(code)) else "") == name
    assert how(code) == (name or f"exit code {code}")


def test_a_server_that_is_not_there_does_not_answer():
    assert not answers_ping(f"redis://127.0.0.1:{free_port()}/0", timeout=0.2)
