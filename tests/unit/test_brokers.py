"""What Celery is told of each kind of broker, and what clients are told of an address of Redis."""

from __future__ import annotations

from typing import Any

import pytest

from django_starter.errors import Trouble
from django_starter.processes.ports import free_port
from django_starter.serve.__main__ import find_broker
from progress.redis import layer_host
from tasks.celery.brokers import Full, broker_at


def test_redis_keeps_classic_queues_and_a_prefix():
    broker = broker_at("redis://localhost:6379/0", "mine")
    assert (broker.queue_type, broker.exchange_type, broker.use_ssl) == ("classic", "direct", None)
    assert broker.transport_options["global_keyprefix"] == "mine:"
    assert broker.transport_options["visibility_timeout"] == 43_200


def test_rabbitmq_has_quorum_queues_and_confirms():
    broker = broker_at("amqp://alice:secret@one//;amqp://alice:secret@two//", "mine")
    assert broker.url == "amqp://alice:secret@one//;amqp://alice:secret@two//"
    assert (broker.queue_type, broker.exchange_type) == ("quorum", "topic")
    assert broker.transport_options["confirm_publish"] is True
    assert "visibility_timeout" not in broker.transport_options
    assert not broker.longest_countdown
    refuse: Any = broker.transport_options["on_blocked"]
    with pytest.raises(Full):
        refuse("low on memory")


@pytest.mark.parametrize(
    ("url", "clean", "more"),
    [
        ("amqps://rabbit/mine", "amqps://rabbit/mine", {}),
        ("amqps://rabbit//?ssl_ca_certs=/etc/ca.pem", "amqps://rabbit//", {"ca_certs": "/etc/ca.pem"}),
    ],
)
def test_rabbitmqs_certificate_is_checked_and_its_name_as_well(url, clean, more):
    broker = broker_at(url, "mine")
    assert broker.url == clean
    assert broker.use_ssl == {"server_hostname": None, **more}  # None: kombu puts the host there


def test_sentinels_are_asked_for_the_server():
    url = "sentinel://:p%40ss@one:1234/3;sentinel://two"
    broker = broker_at(url, "mine", master="tasks", password="watch")
    assert broker.url == url
    host = layer_host(url, master="tasks", password="watch")
    assert broker.transport_options["master_name"] == "tasks"
    asked: Any = broker.transport_options["sentinel_kwargs"]
    assert asked["password"] == "watch"
    assert (host["sentinels"], host["master_name"]) == ([("one", 1234), ("two", 26_379)], "tasks")
    assert (host["db"], host["password"], host["socket_timeout"]) == (3, "p@ss", None)


def test_one_server_is_told_as_it_stands():
    assert layer_host("rediss://redis:6379/1")["address"] == "rediss://redis:6379/1"
    assert "socket_keepalive" not in layer_host("unix:///run/redis.sock?db=1")


@pytest.mark.slow
def test_a_broker_where_nobody_answers_is_one_sentence_without_its_password(monkeypatch):
    url = f"amqp://guest:secret@127.0.0.1:{free_port()}//"
    monkeypatch.setenv("BROKER_URL", url)
    monkeypatch.setenv("CELERY_BROKER_URL", url)
    with pytest.raises(Trouble, match=r"Nothing answers at BROKER_URL=amqp://guest:\*\*\*@127") as caught:
        find_broker()
    assert "secret" not in str(caught.value)


def test_redis_is_the_broker_where_no_other_is_named():
    assert find_broker() == ""
