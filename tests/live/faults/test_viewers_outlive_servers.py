"""Fifty people watch while what serves them dies."""

from __future__ import annotations

import pytest

from tests.waiting import wait_until

from .crowd import Crowd


@pytest.fixture
def crowd():
    made = []

    def make(*args):
        made.append(Crowd(*args))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_fifty_viewers_outlive_the_web_server(new_stack, rows, fault, crowd):
    stack = new_stack().start(concurrency=4)
    fault = fault("11", "kill -9 of the web server while 50 sockets watch")
    table, seats = watched(stack, rows, crowd)
    stack.web.kill()
    stack.start_web()
    fault.begins()
    seats.wait_final(40)
    fault.measured(f"50 true ends, {fault.seconds:.1f} s after the server's return", "50 true ends, no reload")
    assert_true_ends(seats, table)


@pytest.mark.parametrize(("number", "kill"), [("12", False), ("12b", True)])
def test_fifty_viewers_outlive_the_broker(number, kill, new_stack, rows, fault, crowd):
    stack = new_stack(breaks_broker=True).start(concurrency=4)
    what = "ended with KILL, its data deleted" if kill else "restarted"
    fault = fault(number, f"broker {what} while 50 sockets watch")
    table, seats = watched(stack, rows, crowd)
    stack.broker.restart(kill=kill, keep_data=not kill)
    fault.begins()
    seats.wait_final(40)
    fault.measured(f"50 true ends, {fault.seconds:.1f} s after its return", "50 true ends, no reload")
    assert_true_ends(seats, table)


def watched(stack, rows, crowd):
    """Ten tasks of which some fail, five viewers each, in the middle of the first."""
    table = rows(stack)
    gate = stack.folder / "gate"
    task_ids = [stack.start_job("nap", seconds=2) for _ in range(7)]
    task_ids += [stack.start_job("fail", f"no luck {number}") for number in range(2)]
    task_ids += [stack.start_job("hold", str(gate))]
    seats = crowd(stack.visitor(), task_ids, 50)
    seats.wait_connected()
    wait_until(lambda: any(seat.task.get("current") for seat in seats.seats), 20)
    gate.touch()
    return table, seats


def assert_true_ends(seats, table):
    for seat in seats.seats:
        run = table.run(seat.task_id)
        assert (seat.task["state"], seat.task["attempt"]) == (run["state"], run["attempt"])
        assert not seat.backwards, f"{seat.task_id} ran backwards: {seat.backwards}"
    states = [seat.task["state"] for seat in seats.seats]
    assert (states.count("SUCCESS"), states.count("FAILURE")) == (40, 10)
    failed = next(seat.task for seat in seats.seats if seat.task["state"] == "FAILURE")
    assert failed["error"]["message"].startswith("no luck")
