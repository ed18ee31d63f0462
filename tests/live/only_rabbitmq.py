"""What RabbitMQ alone does to its clients. `./run_tests.sh rabbitmq` runs it; the other tests do not need RabbitMQ."""

from __future__ import annotations

import kombu
import pytest

from django_starter.processes.ports import free_port
from tests.waiting import wait_until

from .faults.rows import Rows
from .proxy import Proxy
from .tls import KEY, make_certificate


@pytest.fixture
def rows(request):
    def make(stack):
        table = Rows(stack.env, stack.folder)
        request.addfinalizer(table.close)
        return table

    return make


def test_a_task_that_takes_longer_than_rabbitmq_waits_for_its_acknowledgement_runs_once(new_stack, rows):
    """`consumer_timeout`, 30 minutes by default: it closes the channel, and gives the message to another."""
    stack = new_stack(breaks_broker=True)
    stack.broker.configure("consumer_timeout = 3000")
    stack.start(workers=2, concurrency=1)
    table = rows(stack)
    long = stack.start_job("counted", seconds=9)
    stack.wait_state(long, "STARTED")
    wait_until(lambda: "timed out" in stack.broker.log(), 20, stack.broker.log)
    others = [stack.start_job("echo", number) for number in range(5)]
    table.wait_all("SUCCESS", 6, 40)
    table.assert_ended_once([long, *others])
    table.assert_effects_once([long])
    assert table.run(long)["attempt"] == 1
    # Both workers are as good as before: two tasks that wait for each other's gate run at the same time.
    gates = [stack.folder / f"gate{number}" for number in range(2)]
    both = [stack.start_job("hold", str(gate)) for gate in gates]
    for task_id in both:
        stack.wait_state(task_id, "STARTED")
    for gate in gates:
        gate.touch()
    for task_id in both:
        stack.wait_state(task_id, "SUCCESS")


def test_a_queue_that_was_deleted_is_made_again_and_filled_from_the_database(new_stack, rows):
    stack = new_stack(breaks_broker=True).start(workers=1, concurrency=1)
    table = rows(stack)
    gate = stack.folder / "gate"
    held = stack.start_job("hold", str(gate))
    stack.wait_state(held, "STARTED")
    queued = [stack.start_job("echo", number) for number in range(20)]
    with kombu.Connection(stack.broker.url) as connection:
        kombu.Queue("celery", channel=connection.channel()).delete()
    later = stack.start_job("echo", "later")
    gate.touch()
    table.wait_all("SUCCESS", 22, 40)
    table.assert_ended_once([held, *queued, later])


def test_the_page_says_which_of_the_two_servers_is_down(new_stack):
    stack = new_stack(breaks_broker=True)
    stack.prepare_database()
    for server in stack.servers():
        server.start()
    stack.start_web()

    def broker():
        return stack.get("/api/status/").json()["broker"]

    def waits(task_id, reason):
        return lambda: (stack.task(task_id)["waiting"] or {}).get("reason") == reason

    wait_until(lambda: broker()["ok"], 10, broker)
    sent = stack.start_job("echo", 1)
    wait_until(waits(sent, "no_worker"), 10, lambda: stack.task(sent))

    # In good order: a queue that is a few seconds old does not survive a kill -9 of the only node.
    stack.broker.stop()
    wait_until(lambda: broker()["text"] == "down", 10, broker)
    wait_until(waits(sent, "broker_down"), 10, lambda: stack.task(sent))
    assert stack.get("/health/ready").json()["failing"] == ["broker", "workers"]
    stack.broker.start()
    wait_until(lambda: broker()["ok"], 10, broker)

    stack.valkey.kill()
    wait_until(lambda: broker()["text"] == "Redis is down", 10, broker)
    wait_until(waits(sent, "queued"), 10, lambda: stack.task(sent))
    assert "Redis is down" in stack.task(sent)["waiting"]["hint"]
    stack.valkey.start()
    stack.start_worker()
    assert stack.wait_state(sent, "SUCCESS")["result"] == 1


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "refused"])
def test_the_workers_cable_to_rabbitmq_is_cut(new_stack, rows, silent):
    """For longer than two heartbeats: RabbitMQ takes the worker for gone. Its task goes on, seen by all, and ends."""
    stack = new_stack(breaks_broker=True)
    stack.prepare_database()
    for server in stack.servers():
        server.start()
    with Proxy(stack.broker.port) as cable:
        url = stack.broker.url.replace(str(stack.broker.port), str(cable.port))
        stack.start_worker("w1", concurrency=1, env={"BROKER_URL": url}, wait=False)
        stack.start_web()
        stack.workers["w1"].wait_ready()
        table = rows(stack)
        gate = stack.folder / "gate"
        running = stack.start_job("recite_until", str(gate), steps=10)
        watcher = stack.watch(running)
        watcher.wait_for(lambda frame: frame["type"] == "update" and (frame.get("current") or 0) > 3)
        cable.cut(silent=silent)
        stack.start_worker("w2", concurrency=1)
        given_back = "Task testjobs.recite_until"  # the copy, which cannot claim
        wait_until(lambda: given_back in stack.workers["w2"].log(), 40, stack.workers["w2"].log)
        later = stack.start_job("echo", "later")
        stack.wait_state(later, "SUCCESS")
        cable.mend()
        gate.touch()
        assert watcher.wait_final()["attempt"] == 1
        table.assert_ended_once([running, later])
        stack.workers["w2"].stop()
        assert stack.wait_state(stack.start_job("echo", 2), "SUCCESS", timeout=40)["result"] == 2  # w1 is back


def test_tls_and_a_certificate_that_is_checked(new_stack, tmp_path):
    stack = new_stack(breaks_broker=True)
    certificate = make_certificate(tmp_path / "ours")
    port = free_port()
    stack.broker.configure(
        f"listeners.ssl.1 = 127.0.0.1:{port}",
        f"ssl_options.cacertfile = {certificate}",
        f"ssl_options.certfile = {certificate}",
        f"ssl_options.keyfile = {certificate.with_name(KEY)}",
        "ssl_options.verify = verify_none",
    )
    server = f"amqps://guest:guest@127.0.0.1:{port}//"
    stack.env["BROKER_URL"] = f"{server}?ssl_ca_certs={certificate}"
    stack.start()
    task_id = stack.start_task(steps=5, delay=0.05)
    assert stack.wait_state(task_id, "SUCCESS")["attempt"] == 1
    assert stack.get("/health/ready").json()["failing"] == []
    asked = "from tasks.celery import broker; broker.ping(2)"
    for wrong in (server, f"{server}?ssl_ca_certs={make_certificate(tmp_path / 'other')}"):
        stack.env["BROKER_URL"] = wrong
        with pytest.raises(AssertionError, match="CERTIFICATE_VERIFY_FAILED"):
            stack.shell(asked)
