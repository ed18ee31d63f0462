"""Redis behind a password and TLS, and behind Sentinel: workers, pages and sockets find it, and find the next one."""

from __future__ import annotations

from urllib.parse import quote

from django_starter.processes.ports import free_port
from django_starter.processes.valkey import answers_ping
from tests.waiting import wait_until

from .sentinel import MASTER, Sentinel, guarded, wait_for_failover
from .stack import Valkey
from .tls import Tls, make_certificate

PASSWORD = "p@ss;w/rd"


def assert_healthy(stack):
    """Everything that a task needs answers, and the strip says so."""
    wait_until(lambda: stack.get("/health/ready").status == 200, 15, lambda: stack.get("/health/ready").text)
    assert stack.get("/api/status/").json()["broker"]["ok"] is True


def test_a_password_and_tls(new_stack, tmp_path):
    stack = new_stack(env={"STARTS_PER_MINUTE": "1000"})  # counted in the cache
    stack.prepare_database()
    guarded(stack.valkey, PASSWORD)
    stack.valkey.url = stack.valkey.url.replace(PASSWORD, quote(PASSWORD, safe=""))
    stack.valkey.start()
    certificate = make_certificate(tmp_path / "ours")
    other = make_certificate(tmp_path / "other")
    with Tls(certificate, stack.valkey.port) as tls:
        server = f"rediss://:{quote(PASSWORD, safe='')}@127.0.0.1:{tls.port}/2"
        url = f"{server}?ssl_ca_certs={certificate}"
        assert answers_ping(url)
        assert not answers_ping(server), "a certificate of nobody's was trusted"
        assert not answers_ping(f"{server}?ssl_ca_certs={other}"), "the certificate of another was trusted"
        assert not answers_ping(f"rediss://:wrong@127.0.0.1:{tls.port}/2?ssl_ca_certs={certificate}")

        stack.start_worker(env={"REDIS_URL": url}, wait=False)
        stack.start_web(env={"REDIS_URL": url})
        stack.workers["w1"].wait_ready()
        watcher = stack.watch(stack.start_task(steps=20, delay=0.05))
        watcher.wait_for(lambda frame: frame["type"] == "update" and (frame.get("current") or 0) > 3)
        assert watcher.wait_final()["state"] == "SUCCESS"
        assert_healthy(stack)
        assert "The cache cannot count" not in stack.web.log()


def test_a_failover_of_sentinel_in_the_middle_of_a_task(new_stack):
    stack = new_stack(env={"STARTS_PER_MINUTE": "1000"})
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

    nobody = free_port()  # one of the Sentinels is down
    url = f"sentinel://:secret@127.0.0.1:{nobody}/1;sentinel://127.0.0.1:{sentinel.port}"
    env = {"REDIS_URL": url, "REDIS_SENTINEL_MASTER": MASTER}
    stack.start_worker(env=env, concurrency=1, wait=False)
    stack.start_web(env=env)
    stack.workers["w1"].wait_ready()
    gate = stack.folder / "gate"
    running = stack.start_job("recite_until", str(gate), steps=40, log_every=10)
    queued = [stack.start_job("echo", number) for number in range(5)]
    watcher = stack.watch(running)
    watcher.wait_for(lambda frame: frame["type"] == "update" and (frame.get("current") or 0) > 20)

    primary.kill()
    wait_for_failover(sentinel, replica)
    shown = watcher.task["current"]
    watcher.wait_for(lambda frame: frame["type"] == "update" and (frame.get("current") or 0) > shown + 5)
    gate.touch()

    final = watcher.wait_final()
    assert (final["state"], final["attempt"]) == ("SUCCESS", 1)
    assert watcher.log_texts() == [f"line {number}" for number in range(1, final["result"] + 1)]
    later = stack.start_job("echo", "later")
    for task_id in (*queued, later):
        assert stack.wait_state(task_id, "SUCCESS", timeout=40)["attempt"] == 1
    assert_healthy(stack)
