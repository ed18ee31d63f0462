"""Messages that no code of ours would send, put straight into the queue by another program."""

from __future__ import annotations

from tests.waiting import wait_until

#: Each wrong in one way. The last one is good.
SEND = """
from django_starter.celery import app

HEADERS = [
    {"eta": "soon"}, {"eta": 7}, {"expires": "soon"}, {"expires": 7}, {"timelimit": 7}, {"timelimit": [1]},
    {"timelimit": ["text", None]}, {"timelimit": [None, {}]}, {"id": 7}, {"id": None}, {"id": "x" * 300}, {"task": 7},
    {"task": "nobody.knows"}, {"lang": 7, "argsrepr": [1]}, {"retries": "many"}, {"parent_id": 7, "root_id": [1]},
    {"group": 7}, {"errbacks": 1}, {"stamps": 1}, {"stamped_headers": 3}, {"delivery_info": 3}, {"priority": "high"},
]
BODIES = [
    [1], 7, "text", None, [7, 7, 7], [[1], {}, 7], [[1], {"nobody": 1}, {}], [[1], {}, {"callbacks": 7}],
    [[1], {}, {"errbacks": "text"}], [[1], {}, {"chain": 7}], [[1], {}, {"chord": 7}],
]
PLAIN = {"lang": "py", "task": "testjobs.echo", "argsrepr": "()", "kwargsrepr": "{}", "retries": 0}
NONE = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
with app.connection_for_write() as connection:
    producer = connection.Producer(routing_key="celery", serializer="json")
    for number, headers in enumerate(HEADERS):
        producer.publish([[1], {}, NONE], headers={**PLAIN, "id": f"header-{number}", **headers})
    for number, body in enumerate(BODIES):
        producer.publish(body, headers={**PLAIN, "id": f"body-{number}"})
    producer.publish({"no": "headers"})
    producer.publish({"task": 7, "id": [1], "args": 7})
    for kind in ("text/plain", "application/json", "application/x-python-serialize"):
        producer.publish(b"\\xff\\x00", content_type=kind, content_encoding="utf-8")
    for number in range(20):
        producer.publish([[number], {}, NONE], headers={**PLAIN, "id": f"good-{number}"})
"""


def test_a_foreign_message_of_every_wrong_kind_stops_nobody(new_stack, rows, fault):
    fault = fault("17", "foreign messages, wrong in 38 ways, in the queue before 20 good ones")
    stack = new_stack().start(workers=0)
    table = rows(stack)
    stack.shell(SEND)
    fault.begins()
    worker = stack.start_worker("w1", wait=False)
    good = [f"good-{number}" for number in range(20)]
    wait_until(
        lambda: (
            [state for pk, state in table.query("SELECT id, state FROM tasks_taskrun") if pk in good]
            == ["SUCCESS"] * 20
        ),
        30,
        lambda: f"{table.states()}; {worker.log()[-3000:]}",
    )
    fault.took(15, "all good done after")
    table.assert_ended_once(good)
    assert stack.wait_state(stack.start_job("echo", 1), "SUCCESS")["attempt"] == 1
    assert worker.alive
    assert "Unrecoverable" not in worker.log()
    assert worker.log().count("\n") < 3_000
    wait_until(lambda: table.count("PENDING", "RETRY", "STARTED") == 0, 30, lambda: str(table.states()))
