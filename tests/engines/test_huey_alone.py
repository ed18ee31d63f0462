"""What only Huey has: its own way to Redis, and tasks that start by themselves."""

from __future__ import annotations

import time
from urllib.parse import quote

from django_starter.processes.ports import free_port
from tests.live.engines import HUEY, lines, wait_lines
from tests.live.sentinel import MASTER, Sentinel, guarded, wait_for_failover
from tests.live.stack import Valkey
from tests.live.tls import Tls, make_certificate
from tests.waiting import wait_until

PASSWORD = "p@ss;w/rd"


def test_redis_behind_a_password_and_tls(new_stack, tmp_path):
    stack = new_stack(env={"DOWNLOADS_ENGINE": "huey"})
    stack.prepare_database()
    guarded(stack.valkey, PASSWORD)
    stack.valkey.url = stack.valkey.url.replace(PASSWORD, quote(PASSWORD, safe=""))
    stack.valkey.start()
    certificate = make_certificate(tmp_path / "ours")
    with Tls(certificate, stack.valkey.port) as tls:
        url = f"rediss://:{quote(PASSWORD, safe='')}@127.0.0.1:{tls.port}/2?ssl_ca_certs={certificate}"
        stack.start_huey(env={"REDIS_URL": url}, wait=False)
        stack.start_web(env={"REDIS_URL": url})
        assert stack.wait_state(HUEY.begin(stack, "echo", "through"), "SUCCESS")["result"] == "through"
        assert stack.get("/api/status/").json()["broker"]["ok"] is True


def test_a_failover_of_sentinel_in_the_middle_of_a_task(new_stack, tmp_path):
    stack = new_stack(env={"DOWNLOADS_ENGINE": "huey"})
    stack.prepare_database()
    primary = guarded(stack.valkey, "secret")
    process = {"env": stack.env, "guard": stack._guard}
    logs = stack.folder / "logs"
    replica = Valkey(stack.folder / "replica", log_path=logs / "replica.log", **process)
    guarded(replica, "secret", replica_of=primary)
    sentinel = Sentinel(stack.folder / "sentinel", primary, "secret", log_path=logs / "sentinel.log", **process)
    stack.processes += [replica, sentinel]
    for server in (primary, replica, sentinel):
        server.start()
    url = f"sentinel://:secret@127.0.0.1:{free_port()}/1;sentinel://127.0.0.1:{sentinel.port}"
    env = {"REDIS_URL": url, "REDIS_SENTINEL_MASTER": MASTER}
    stack.start_huey(workers=1, env=env, wait=False)
    stack.start_web(env=env)
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    running = HUEY.begin(stack, "hold", str(gate), str(trace))
    queued = [HUEY.begin(stack, "echo", number) for number in range(5)]
    wait_lines(trace)
    primary.kill()
    wait_for_failover(sentinel, replica)
    gate.touch()
    later = HUEY.begin(stack, "echo", "later")
    for task_id in (running, *queued, later):
        assert stack.wait_state(task_id, "SUCCESS", timeout=40)["attempt"] == 1


def test_a_tick_of_a_periodic_task_is_one_run_with_two_consumers(new_stack, tmp_path):
    trace = tmp_path / "ticks"
    stack = new_stack(env={"DOWNLOADS_ENGINE": "huey", "TEST_TICKS": str(trace)}).start(workers=0)
    HUEY.start_worker(stack, "one")
    HUEY.start_worker(stack, "two")
    wait_lines(trace, 2, timeout=150)
    time.sleep(2)  # a second consumer has had its moment as well
    code = "from tasks.models import *; print(*(r.state for r in TaskRun.objects.filter(name__endswith='.tick')))"
    wait_until(lambda: stack.shell(code).split() == ["SUCCESS"] * len(lines(trace)), 10)
    assert len(lines(trace)) == 2
