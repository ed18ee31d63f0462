"""Redis answers, but refuses to write: every worker waits, and works on when the refusal is over."""

from __future__ import annotations

import contextlib
import socket

import pytest
import redis

from tests.waiting import wait_until

from .. import invariants
from .rows import Rows

#: Seconds that a refusal lasts: long enough for beats, events and messages of each kind to meet it.
LASTS = 6.0

REFUSALS = ["MISCONF", "NOREPLICAS", "READONLY", "MASTERDOWN", "OOM", "NOPERM", "LOADING", "BUSY"]

#: pool → how many tasks it runs at a time.
POOLS = {"prefork": 2, "threads": 2, "gevent": 2, "solo": 1}


@pytest.fixture(scope="module")
def site(make_stack):
    """A stack with a worker of every pool, for all refusals one after the other."""
    stack = make_stack(env={"STARTS_PER_MINUTE": "0"}, breaks_broker=True)
    stack.valkey.command += ["--enable-protected-configs", "yes"]
    with contextlib.ExitStack() as ends:
        ends.callback(stack.close)
        stack.start(workers=0)
        for pool, concurrency in POOLS.items():
            stack.start_worker(pool, concurrency=concurrency, pool=pool)
        table = Rows(stack.env, stack.folder)
        ends.callback(table.close)
        yield stack, table
        invariants.assert_hold(stack)


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_waited_for(kind, site, fault):
    stack, table = site
    fault = fault(f"12{chr(ord('c') + REFUSALS.index(kind))}", f"Redis refuses writes ({kind}), workers of every pool")
    workers = [stack.workers[pool] for pool in POOLS]
    pids = [worker.pid for worker in workers]
    running = [stack.start_job("counted", seconds=LASTS + 3) for _ in range(sum(POOLS.values()))]
    for one in running:
        stack.wait_state(one, "STARTED")
    waiting = [stack.start_job("counted") for _ in range(10)]

    refuse(stack, kind)
    fault.begins()
    more = [stack.start_job("counted") for _ in range(3)]
    late = stack.start_worker("late", wait=False)
    wait_until(lambda: fault.seconds > LASTS, 20)  # the fault itself
    allow(stack, kind)
    fault.begins()
    everything = [*running, *waiting, *more]
    wait_until(lambda: all(table.run(one)["state"] == "SUCCESS" for one in everything), 40, table.states, every=0.1)
    fault.took(30, "everything ended after")

    assert [worker.alive for worker in (*workers, late)] == [True] * 5
    late.kill()  # now that it holds nothing
    assert [worker.pid for worker in workers] == pids
    table.assert_ended_once(everything)
    table.assert_effects_once(everything)
    assert {one: table.run(one)["attempt"] for one in everything} == dict.fromkeys(everything, 1)


def refuse(stack, kind):
    with stack.valkey.client() as client:
        if kind == "MISCONF":
            client.config_set("save", "3600 1")
            client.config_set("dir", "/proc")  # nobody can save there
            wait_until(lambda: not saved(client), 10)
        elif kind == "NOREPLICAS":
            client.config_set("min-replicas-to-write", 1)
        elif kind in ("READONLY", "MASTERDOWN"):
            client.config_set("replica-serve-stale-data", "no" if kind == "MASTERDOWN" else "yes")
            client.execute_command("REPLICAOF", "127.0.0.1", nobodys_port())
        elif kind == "OOM":
            client.config_set("maxmemory", 1)
        elif kind == "LOADING":  # it comes back, and reads its data for ten seconds
            for _ in range(40):
                with client.pipeline(transaction=False) as pipe:
                    for number in range(1_000):
                        pipe.set("much", number)
                    pipe.execute()
            stack.valkey.stop()
            stack.valkey.command += ["--key-load-delay", "250"]
            stack.valkey.start(wait=False)
            wait_until(lambda: says(stack, redis.BusyLoadingError), 10)
        elif kind == "BUSY":  # with a script that does not end
            client.config_set("busy-reply-threshold", 10)
            with socket.create_connection(("127.0.0.1", stack.valkey.port)) as forever:
                forever.sendall(b'EVAL "while true do end" 0\r\n')
                wait_until(lambda: says(stack, redis.ResponseError), 10)
        else:
            client.execute_command("ACL", "SETUSER", "default", "-@write")


def says(stack, error):
    try:
        with stack.valkey.client() as client:
            client.get("much")
    except redis.RedisError as said:
        return isinstance(said, error)
    return False


def saved(client):
    with contextlib.suppress(redis.ResponseError):  # one is under way
        client.execute_command("BGSAVE")
    return client.info("persistence")["rdb_last_bgsave_status"] == "ok"


def allow(stack, kind):
    with stack.valkey.client() as client:
        if kind == "MISCONF":
            client.config_set("dir", str(stack.valkey.folder))
            client.config_set("save", "")
        elif kind == "NOREPLICAS":
            client.config_set("min-replicas-to-write", 0)
        elif kind in ("READONLY", "MASTERDOWN"):
            client.execute_command("REPLICAOF", "NO", "ONE")
        elif kind == "OOM":
            client.config_set("maxmemory", 0)
        elif kind == "LOADING":
            stack.valkey.wait_ready()
        elif kind == "BUSY":
            client.script_kill()
        else:
            client.execute_command("ACL", "SETUSER", "default", "+@all")


def nobodys_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
