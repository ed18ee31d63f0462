"""What Celery is told of each kind of broker: Redis and Valkey, or RabbitMQ with quorum queues."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from progress.redis import is_sentinel, sentinel_host

#: Seconds after which Redis gives a message to another worker. Only a backstop, as the sweep finds lost runs within
#: seconds; it has to be longer than the longest task.
VISIBILITY_TIMEOUT = 43_200
#: Seconds between RabbitMQ's heartbeats: it takes a worker for gone, and a worker takes it for gone, after two of them.
HEARTBEAT = 10


class Full(Exception):
    """RabbitMQ takes no messages: its memory or its disk is full."""


#: What a client of a broker is told, by the names that the client has for it.
Options = dict[str, object]


@dataclass(frozen=True, slots=True)
class Broker:
    """Settings of Celery that depend on the broker; what each means is in the documentation of Celery and kombu."""

    url: str
    transport_options: Options
    #: What a worker says otherwise: it may wait longer for its broker than a web process, which has to answer.
    worker_options: Options
    queue_type: str = "classic"
    exchange_type: str = "direct"
    #: Seconds for a connection, of which a start may need two.
    connection_timeout: float = 1
    heartbeat: int = 0
    #: Whether a worker connects again, where it would end otherwise: Redis refuses a write (its disk is full, its
    #: replicas are gone), RabbitMQ closes the channel of a worker that has held a task for `consumer_timeout`.
    channel_error_retry: bool = True
    use_ssl: Options | None = None
    #: What a publisher raises that is turned away.
    full: type[Exception] = Full
    #: A message that is due later than this stays in the database, which sends it when it is due.
    longest_countdown: timedelta = field(default=timedelta(seconds=30))


def broker_at(url: str, prefix: str, *, master: str = "", password: str = "") -> Broker:
    """The settings for the broker at `url`; `prefix` begins the name of every key in a Redis, `master` and `password`
    are for its Sentinels."""
    if is_rabbitmq(url):
        return _rabbitmq(url)
    broker = _redis(url, prefix)
    if is_sentinel(url):
        asked = sentinel_host(url, master, password)
        broker.transport_options.update(master_name=master, sentinel_kwargs=asked["sentinel_kwargs"])
    return broker


def is_rabbitmq(url: str) -> bool:
    """True for amqp:// and amqps://."""
    return url.startswith(("amqp://", "amqps://"))


def _redis(url: str, prefix: str) -> Broker:
    options: Options = {
        "visibility_timeout": VISIBILITY_TIMEOUT,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # The web process gives up early, so that a start is answered within 2 s.
        "socket_connect_timeout": 0.5,
        "socket_timeout": 0.4,
        "global_keyprefix": f"{prefix}:",
    }
    # redis-py checks a certificate unless it is told not to; kombu has to be told that there is one.
    use_ssl: Options | None = {"ssl_cert_reqs": ssl.CERT_REQUIRED} if url.startswith("rediss://") else None
    return Broker(url, options, {"socket_connect_timeout": 1, "socket_timeout": 5}, use_ssl=use_ssl)


def _rabbitmq(url: str) -> Broker:
    nodes = [_without_query(node) for node in url.split(";")]
    options: Options = {
        # A message counts as sent when the queue has it on disk: without, a start that a full or ending broker threw
        # away looked like any other.
        "confirm_publish": True,
        "on_blocked": refuse,
        "read_timeout": 0.4,
        "write_timeout": 0.4,
    }
    return Broker(
        ";".join(node for node, _ in nodes),
        options,
        {"read_timeout": 5, "write_timeout": 5, "on_blocked": None},
        connection_timeout=0.5,
        queue_type="quorum",
        # Celery's own delayed delivery, for tasks that are not tracked, works with topic exchanges alone.
        exchange_type="topic",
        heartbeat=HEARTBEAT,
        use_ssl=_ssl(nodes[0][1]) if url.startswith("amqps://") else None,
        # A quorum queue gives a worker a fixed number of messages: one that waits there for its time keeps out another.
        longest_countdown=timedelta(0),
    )


def refuse(reason: str) -> None:
    """What a connection does when RabbitMQ blocks it: give up at once, where it would wait for a confirm in vain."""
    raise Full(reason)


def _without_query(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="")), dict(parse_qsl(parts.query))


def _ssl(query: dict[str, str]) -> Options:
    """TLS with a certificate that is checked: against the system's authorities, or those in `?ssl_ca_certs=`."""
    found: Options = {"server_hostname": None}  # kombu puts the address's host there, which must be in it
    for name in ("ca_certs", "certfile", "keyfile"):
        if value := query.get(f"ssl_{name}"):
            found[name] = value
    return found
