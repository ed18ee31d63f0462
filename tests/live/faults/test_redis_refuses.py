"""Redis answers, but refuses to write: every worker waits, and works on when the refusal is over."""

from __future__ import annotations

import contextlib
import socket

import pytest
import redis

from tests.waiting import wait_until

#: Seconds that a refusal lasts: long enough for beats, events and messages of each kind to meet it.
LASTS = 8.0

REFUSALS = ["MISCONF", "NOREPLICAS", "READONLY", "MASTERDOWN", "OOM", "NOPERM", "LOADING", "BUSY"]


#: Each of them with a pool of processes; one of them with every other pool.
CASES = [*((kind, "prefork") for kind in REFUSALS), *(("NOREPLICAS", pool) for pool in ("threads", "gevent", "solo"))]


@pytest.mark.parametrize(("kind", "pool"), CASES)
def test_a_refusal_is_waited_for(kind, pool, new_stack, rows, fault):
    stack = new_stack(env={"STARTS_PER_MINUTE": "0"}, breaks_broker=True)
    stack.valkey.command += ["--enable-protected-configs", "yes"]
    stack.start(workers=0)
    workers = [stack.start_worker(name, concurrency=2, pool=pool) for name in ("w1", "w2")]
    fault = fault(f"12{chr(ord('a') + CASES.index((kind, pool)))}", f"Redis refuses writes ({kind}), {pool}")
    table = rows(stack)
    pids = [worker.pid for worker in workers]
    running = [stack.start_job("counted", seconds=seconds) for seconds in (3, LASTS + 4)]
    for one in running:
        stack.wait_state(one, "STARTED")
    waiting = [stack.start_job("counted") for _ in range(10)]

    refuse(stack, kind)
    fault.begins()
    more = [stack.start_job("counted") for _ in range(3)]
    late = stack.start_worker("w3", pool=pool, wait=False)
    wait_until(lambda: fault.seconds > LASTS, 20)  # the fault itself
    allow(stack, kind)
    fault.begins()
    everything = [*running, *waiting, *more]
    table.wait_all("SUCCESS", len(everything), 40)
    fault.took(30, "everything ended after")

    assert [worker.alive for worker in (*workers, late)] == [True, True, True]
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
