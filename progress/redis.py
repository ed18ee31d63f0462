"""Where Redis is, and how it is reached: one server, over TCP, TLS or a unix socket, or the one that Sentinel names.

    redis://:password@host:6379/0      rediss://host:6379/0?ssl_ca_certs=/etc/ca.pem      unix:///run/redis.sock?db=0
    sentinel://:password@one:26379/0;sentinel://two:26379;sentinel://three:26379

The last is kombu's own form, so that Celery understands it as well: the first address names the password and the
database of the Redis server. The settings REDIS_SENTINEL_MASTER and REDIS_SENTINEL_PASSWORD (of the Sentinels
themselves) belong to it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

#: Seconds that a synchronous caller waits for Redis at most, to connect and for an answer.
SYNC_TIMEOUT = 1.0
#: Seconds that one Sentinel is waited for before the next one is asked.
SENTINEL_TIMEOUT = 0.5
SENTINEL_PORT = 26_379
#: Seconds for which nobody of this process asks a server again that let a caller wait in vain: a page that looks at
#: twenty records waits once for a server that hangs, not twenty times.
REST = 1.0
#: A machine that is gone says nothing: after about 5 + 3 · 2 s of silence the kernel says it. (Names of Linux.)
KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}

#: What a call raises while Redis is away, hangs (a TimeoutError is an OSError) or refuses.
AWAY = (redis.RedisError, OSError)

#: Keyword arguments of redis-py's clients: each has a type of its own.
Options: TypeAlias = dict[str, Any]
#: redis-py's class of that name, for a caller with an event loop or without.
RetryKind: TypeAlias = type[Retry] | type[AsyncRetry]

_rests_until: dict[str, float] = {}

# What makes these has no types in redis-py.
_Sentinel: Callable[..., redis.sentinel.Sentinel] = redis.sentinel.Sentinel
_SentinelManaged: Callable[..., redis.ConnectionPool] = redis.sentinel.SentinelConnectionPool
_AsyncSentinel: Callable[..., redis.asyncio.sentinel.Sentinel] = redis.asyncio.sentinel.Sentinel
_AsyncSentinelManaged: Callable[..., redis.asyncio.ConnectionPool] = redis.asyncio.sentinel.SentinelConnectionPool


# --- for callers without an event loop --------------------------------------------------------------------------------


def make_client(url: str, **options: object) -> redis.Redis:
    """A synchronous Redis client that gives up after `SYNC_TIMEOUT` and tries a broken connection once more."""
    defaults: Options = {
        "socket_timeout": SYNC_TIMEOUT,
        "socket_connect_timeout": SYNC_TIMEOUT,
        # A connection that was closed is made again; a server that does not answer is not asked twice.
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        "health_check_interval": 10,
    }
    merged = {**defaults, **options}
    pool = _make_sentinel_pool(*_ask(url), **_server(url), **merged) if is_sentinel(url) else _make_pool(url, **merged)
    pool.url = url
    pool.connection_class = type("Connection", (_Connection, pool.connection_class), {"url": url})
    return redis.Redis(connection_pool=pool)


class _Connection:
    """Part of a connection class: an answer that did not come in time is remembered."""

    url: str

    def read_response(self, *args: object, **kwargs: object) -> object:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]
        except redis.TimeoutError:
            _rests_until[self.url] = time.monotonic() + REST
            raise


class _Resting:
    """Part of a pool class: nothing is asked of a server that rests."""

    url: str

    def get_connection(self, *args: object, **kwargs: object) -> redis.Connection:
        if time.monotonic() < _rests_until.get(self.url, 0.0):
            raise redis.ConnectionError("Redis did not answer a moment ago.")
        found: redis.Connection = super().get_connection(*args, **kwargs)  # type: ignore[misc]
        return found


class _Pool(_Resting, redis.ConnectionPool):
    url = ""


class _SentinelPool(_Resting, redis.sentinel.SentinelConnectionPool):
    url = ""


_make_pool: Callable[..., _Pool | _SentinelPool] = _Pool.from_url
_make_sentinel_pool: Callable[..., _Pool | _SentinelPool] = _SentinelPool


class CachePool(redis.ConnectionPool):
    """For Django's cache, OPTIONS["pool_class"]: its `from_url` knows sentinel:// as well."""

    @classmethod
    def from_url(cls, url: str, **options: object) -> Any:
        """A pool of connections to `url`; `options` as redis-py's own `from_url` takes them."""
        if is_sentinel(url):
            return _SentinelManaged(*_ask(url), **_server(url), **options)
        return super().from_url(url, **options)


def _ask(url: str, kind: Callable[..., object] = _Sentinel, retry: RetryKind = Retry) -> tuple[str, object]:
    described = sentinel_host(url, retry=retry)
    return described["master_name"], kind(described["sentinels"], sentinel_kwargs=described["sentinel_kwargs"])


# --- for an event loop ------------------------------------------------------------------------------------------------


def make_async_client(url: str) -> redis.asyncio.Redis:
    """A Redis client that gives up after a second, and tries a broken connection once more."""
    options: Options = {
        "socket_timeout": 1.0,
        "socket_connect_timeout": 0.5,
        "retry": AsyncRetry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        "health_check_interval": 10,
    }
    if not is_sentinel(url):
        return redis.asyncio.Redis.from_url(url, **options)
    pool = _AsyncSentinelManaged(*_ask(url, _AsyncSentinel, AsyncRetry), **_server(url), **options)
    return redis.asyncio.Redis(connection_pool=pool)


def layer_host(url: str, **sentinel: str) -> Options:
    """The entry of channels_redis' `hosts` for `url`. `sentinel`: `master` and `password`, where settings are not yet
    there to be asked."""
    # redis-py 8 has socket_timeout=5 by default: without None a subscription that hears nothing for 5 s dies.
    options: Options = {"socket_timeout": None, "socket_connect_timeout": 1}
    if url.startswith("unix://"):
        return {"address": url, **options}
    options |= {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    if is_sentinel(url):
        return {**sentinel_host(url, **sentinel, retry=AsyncRetry), **_server(url), **options}
    return {"address": url, **options}


# --- Sentinel ---------------------------------------------------------------------------------------------------------


def is_sentinel(url: str) -> bool:
    """True for an address that names Sentinels, and not the server itself."""
    return url.startswith("sentinel://")


def sentinel_host(
    url: str, master: str | None = None, password: str | None = None, *, retry: RetryKind = Retry
) -> Options:
    """Which Sentinels `url` names, and whom to ask them for; by default what the settings say.

    `retry`: redis-py's class of that name, for a caller with an event loop or without.
    """
    asked: Options = {
        "socket_timeout": SENTINEL_TIMEOUT,
        "socket_connect_timeout": SENTINEL_TIMEOUT,
        # By default one that is down is tried for seconds before the next one is asked.
        "retry": retry(NoBackoff(), 0),
    }
    if secret := settings.REDIS_SENTINEL_PASSWORD if password is None else password:
        asked["password"] = secret
    parts = [urlsplit(one) for one in url.split(";")]
    return {
        "sentinels": [(part.hostname or "127.0.0.1", part.port or SENTINEL_PORT) for part in parts],
        "master_name": settings.REDIS_SENTINEL_MASTER if master is None else master,
        "sentinel_kwargs": asked,
    }


def _server(url: str) -> Options:
    """The database, user and password of the server that Sentinel names."""
    first = urlsplit(url.split(";")[0])
    found: Options = {"db": int(first.path.strip("/") or 0)}
    for name in ("username", "password"):
        if value := getattr(first, name):
            found[name] = unquote(value)
    return found
