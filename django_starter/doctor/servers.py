"""The servers behind: database, broker, Redis, and whether their clocks agree with ours."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from django_starter.celery import app
from django_starter.processes.ports import answers
from django_starter.processes.valkey import shown
from progress.layer import ProgressChannelLayer
from progress.redis import make_client
from tasks.runs.ask import ask
from tasks.runs.moves import CLOCK_DIFFERENCE

from .context import Context, Info
from .finding import Finding, failed, ok, skipped, warning
from .machine import near

#: Seconds that a server may take for one answer.
SERVER_TIMEOUT = 2.0
BOUNDS = {"socket_timeout": SERVER_TIMEOUT, "socket_connect_timeout": SERVER_TIMEOUT}
#: Part of `maxmemory` from which on a server is as good as full.
FULL = 0.9
DATABASE_HINT = "python manage.py dbshell  # DATABASE_URL says where it is"
#: The settings that lead to a server, which may be the same.
BROKER, REDIS = "BROKER_URL", "REDIS_URL"


# --- the database -----------------------------------------------------------------------------------------------------


def database(_: Context) -> Finding:
    """It answers."""
    where = connection.settings_dict["HOST"] or near(connection.settings_dict["NAME"])
    try:
        connection.ensure_connection()
        began = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        took = time.monotonic() - began
    except DatabaseError as error:
        return failed(f"{connection.display_name} at {where} does not answer: {_one_line(error)}", DATABASE_HINT)
    version = ".".join(str(part) for part in connection.get_database_version())
    return ok(f"{connection.display_name} {version} at {where}", took)


def migrations(_: Context) -> Finding:
    """Its tables are those of this code."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        first = f"{plan[0][0].app_label}.{plan[0][0].name}"
        more = f" and {len(plan) - 1} more" if len(plan) > 1 else ""
        return failed(f"Not applied: {first}{more}.", "python manage.py migrate")
    return ok(f"all {len(executor.loader.applied_migrations)} applied")


# --- the broker, and Redis where it is another server -----------------------------------------------------------------


def broker(context: Context) -> Finding:
    """It answers, through the same client as the tasks' messages; of a Redis, what it says of itself is kept."""
    # A RabbitMQ that hangs takes the connection, and its client waits for the first word without end.
    found = ask(lambda: _broker(context), 2 * SERVER_TIMEOUT)
    return found or _away(BROKER, TimeoutError(f"nothing came within {2 * SERVER_TIMEOUT:g} s"))


def _broker(context: Context) -> Finding:
    try:
        with app.connection_for_write(connect_timeout=SERVER_TIMEOUT) as link:
            link.connect()  # raises at once, where `default_channel` alone would wait without end
            channel: Any = link.default_channel
            began = time.monotonic()
            if link.transport.driver_type == "redis":
                channel.client.ping()
                took = time.monotonic() - began
                context.servers[BROKER] = channel.client.info()
                name = _version(context.servers[BROKER])
            else:
                link.connection.channel().close()
                took = time.monotonic() - began
                told = getattr(link.connection, "server_properties", {})
                name = f"{told.get('product', link.transport.driver_name)} {told.get('version', '')}".strip()
    except Exception as error:  # each transport has errors of its own
        return _away(BROKER, error)
    return ok(f"{name} at {_place(BROKER)}", took)


def redis(context: Context) -> Finding:
    """The server of the live records and the channel layer."""
    if settings.REDIS_URL == settings.BROKER_URL:
        away = context.findings["broker"].status == "failed"
        return skipped("the broker does not answer") if away else ok("the same server")
    try:
        with make_client(settings.REDIS_URL, **BOUNDS) as client:
            told: Info = client.info()
            began = time.monotonic()
            client.ping()
            took = time.monotonic() - began
    except Exception as error:  # `redis.RedisError`, which other files know
        return _away(REDIS, error)
    context.servers[REDIS] = told
    return ok(f"{_version(told)} at {_place(REDIS)}", took)


def persistence(context: Context) -> Finding:
    """What waits in the broker outlives a restart of it."""
    told = context.servers.get(BROKER)
    if told is None:
        return skipped("the broker is no Redis, and keeps durable queues itself")
    if not told.get("aof_enabled"):
        return warning(
            "The broker has no append-only file: its restart loses what is queued; workers send it again from the rows",
            _configure(BROKER, "appendonly yes"),
        )
    if told.get("aof_last_write_status", "ok") != "ok":
        return failed("The broker cannot write its append-only file: is its disk full?", "df -h")
    return ok("append-only file")


def eviction(context: Context) -> Finding:
    """A full server refuses what is new, and throws nothing away."""
    if not context.servers:
        return skipped("no Redis answers")
    texts = []
    for setting, told in context.servers.items():
        policy = told.get("maxmemory_policy", "unknown")
        if policy != "noeviction":
            return failed(
                f"The server of {setting} throws keys away when it is full ({policy}): tasks and beats among them.",
                _configure(setting, "maxmemory-policy noeviction"),
            )
        used, most = told.get("used_memory", 0), told.get("maxmemory", 0)
        if most and used > FULL * most:
            return warning(
                f"{used / most:.0%} of the memory of {setting} are used; when it is full it refuses new tasks.",
                _configure(setting, f"maxmemory {2 * most}"),
            )
        texts.append(f"noeviction, {used / 1024**2:.1f} MB{f' of {most / 1024**2:.1f} MB' if most else ''}")
    return ok("; ".join(texts))


def channels(_: Context) -> Finding:
    """What a worker publishes into a group arrives."""
    layer: ProgressChannelLayer = get_channel_layer()
    took = layer.round_trip(SERVER_TIMEOUT)
    if took is None:
        return failed(
            "A message to a group of the channel layer did not arrive: pages see changes seconds late.",
            f"{_cli(REDIS)} client list type pubsub",
        )
    return ok("a message to a group arrived", took)


def visibility(_: Context) -> Finding:
    """The broker does not give a task to a second worker while the first may still be at it."""
    app.loader.import_default_modules()  # the tasks, with their limits
    if app.connection_for_write().transport.driver_type != "redis":
        return skipped("the broker is no Redis, and has no such timeout")
    timeout = float(app.conf.broker_transport_options.get("visibility_timeout", 3600))
    limits = {name: _limit(task) for name, task in app.tasks.items() if _limit(task)}
    name = max(limits, key=lambda one: limits[one], default="")
    countdown: timedelta = getattr(settings, "TASKS_LONGEST_COUNTDOWN", timedelta(seconds=30))
    longest = max(limits.get(name, 0.0), countdown.total_seconds())
    if timeout <= longest:
        return failed(
            f"The broker gives a message to another worker after {_span(timeout)}, but {name or 'a countdown'} "
            f"may take {_span(longest)}.",
            f'# in settings.py: CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] = {int(longest * 2)}',
        )
    limit = f"longest time limit {_span(limits[name])}" if name else "no task has a time limit"
    return ok(f"{_span(timeout)}, {limit}; a copy cannot claim a run")


def clocks(context: Context) -> Finding:
    """All agree on what time it is: due times are compared between machines."""
    ahead: dict[str, float] = {}
    with make_client(settings.REDIS_URL, **BOUNDS) as client:
        client.ping()
        before = time.time()
        told = client.time()
        ahead["Redis"] = told[0] + told[1] / 1e6 - (before + time.time()) / 2
    if context.passed("database") and connection.vendor == "postgresql":
        connection.ensure_connection()
        with connection.cursor() as cursor:
            before = time.time()
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            ahead["the database"] = float(cursor.fetchone()[0]) - (before + time.time()) / 2
    return judge_clocks(ahead)


def judge_clocks(ahead: dict[str, float]) -> Finding:
    """By how many seconds each server's clock is ahead of ours."""
    texts = [f"{name} {seconds:+.3f} s" for name, seconds in ahead.items()]
    if any(abs(seconds) > CLOCK_DIFFERENCE.total_seconds() for seconds in ahead.values()):
        return failed(
            f"The clocks differ from this machine's: {', '.join(texts)}.",
            "timedatectl set-ntp true  # on each of them",
        )
    return ok(", ".join(texts))


def hint_for(setting: str) -> str:
    """The lines that bring the server behind `setting` back, or show why it does not answer."""
    parts = urlsplit(_nodes(setting)[0])
    port = parts.port or {"amqp": 5672, "amqps": 5671, "sentinel": 26379}.get(parts.scheme, 6379)
    if parts.scheme == "unix":
        return f"redis-server --unixsocket {parts.path} --appendonly yes --maxmemory-policy noeviction"
    if parts.hostname not in (None, "localhost", "127.0.0.1", "::1"):
        return f"nc -vz {parts.hostname} {port}  # is it up, and may we reach it?"
    if answers(f"tcp://127.0.0.1:{port}"):
        return f"lsof -nP -iTCP:{port} -sTCP:LISTEN  # a program listens there, and does not answer: is it stopped?"
    if parts.scheme.startswith("amqp"):
        return "systemctl start rabbitmq-server"
    return (
        f"{settings.TASKS_START_ALL}  # brings its own where none runs\n"
        f"redis-server --port {port} --appendonly yes --maxmemory-policy noeviction"
    )


def _away(setting: str, error: Exception) -> Finding:
    return failed(f"{_place(setting)} ({setting}) does not answer: {_one_line(error)}", hint_for(setting))


def _nodes(setting: str) -> list[str]:
    """The addresses in it: of a cluster several. (In a single one the semicolon is part of a password.)"""
    url = str(getattr(settings, setting))
    return url.split(";") if url.startswith(("amqp", "sentinel")) else [url]


def _place(setting: str) -> str:
    """Where it leads to, without passwords."""
    return ";".join(shown(url) for url in _nodes(setting))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _version(told: Info) -> str:
    if told.get("server_name") == "valkey":
        return f"Valkey {told['valkey_version']}"
    return f"Redis {told.get('redis_version', '')}"


def _cli(setting: str) -> str:
    parts = urlsplit(_nodes(setting)[0])
    if parts.scheme == "sentinel":
        return "redis-cli"  # there, as no address leads to it for good
    return f"redis-cli -s {parts.path}" if parts.scheme == "unix" else f"redis-cli -u {_place(setting)}"


def _configure(setting: str, option: str) -> str:
    return f"{_cli(setting)} config set {option}  # and in its redis.conf"


def _limit(task: object) -> float:
    """Seconds after which Celery ends the task at the latest; 0: never."""
    return float(getattr(task, "time_limit", None) or app.conf.task_time_limit or 0)


def _span(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds:g} s"
