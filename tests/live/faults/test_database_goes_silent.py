"""The cable to PostgreSQL is cut and nobody says so: nothing comes, nothing breaks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from progress.messages import CloseCode
from tests.waiting import wait_until

from ..at_once import at_once
from ..stack import Stack
from .database import Database, Program
from .rows import Rows

#: Seconds that a question to the database may take, whatever happens to it.
BOUND = 10.0
#: Seconds in which everybody is back.
BACK = 15.0

LOOP = """
from tests.live.testjobs.tasks import echo
tell("ready")
while True:
    began = time.time()
    try:
        echo.delay(1)
        tell("ok", began, time.time() - began)
    except Exception as error:
        tell("error", began, time.time() - began, type(error).__name__)
    time.sleep(0.3)
"""


def test_every_question_is_bounded(make_database, new_stack, fault):
    """`cut`: every cable, for 20 s. `forgotten`: connections from before, for ever. `stopped`: the server itself.

    Each with a server and a stack of its own, at the same time: most of it is waiting.
    """
    databases = {how: make_database() for how in ("cut", "forgotten", "stopped")}
    stacks = {how: new_stack(env=database.env) for how, database in databases.items()}
    at_once(lambda how: goes_silent(how, databases[how], stacks[how], fault), databases)


def goes_silent(how: str, database: Database, stack: Stack, fault: Callable[[str, str], Any]) -> None:
    stack.prepare_database()
    stack.valkey.start()
    worker = stack.start_worker("w1", env={"DATABASE_POOL": "0"}, wait=False)
    stack.start_web(env={"DATABASE_POOL": "10"})
    worker.wait_ready()
    line = fault(f"14{how[0]}", f"PostgreSQL falls silent: {how}")
    table = Rows({**stack.env, "DATABASE_URL": database.server.url()}, stack.folder)
    program = Program(stack, "loop", LOOP)
    program.start()
    program.wait_ok(20)
    person = stack.visitor()
    ended_before = stack.start_job("echo", 1)
    stack.wait_state(ended_before, "SUCCESS")
    running = [stack.start_job("nap", seconds=seconds) for seconds in (3, 6)]
    for one in running:
        stack.wait_state(one, "STARTED")
    waiting = [stack.start_job("counted") for _ in range(5)]
    watcher = stack.watch(running[1])
    watcher.wait_snapshot()
    for _ in range(4):
        person.get("/")  # the pool has several connections

    line.begins()
    if how == "cut":
        database.proxy.cut(silent=True)
    elif how == "forgotten":
        database.proxy.forget()
    else:
        database.server.pause()
    slowest = 0.0
    answers: list[int] = []
    refused = stack.watch(running[0]) if how != "forgotten" else None
    while line.seconds < 20:
        asked = time.monotonic()
        answers.append(person.get("/api/tasks/" + ended_before + "/").status)
        slowest = max(slowest, time.monotonic() - asked)
        time.sleep(0.5)
        if how == "forgotten" and answers[-3:] == [200] * 3:
            break
    if refused is not None:
        assert refused.close_code == CloseCode.UNAVAILABLE, "who comes meanwhile is told to come back, within the bound"
        told = [at for frame, at in zip(watcher.frames, watcher.times, strict=False) if frame["type"] == "ping"]
        assert any(time.monotonic() - at < 20 for at in told), "sockets are pinged on"
    if how == "cut":
        database.proxy.mend()
    elif how == "stopped":
        database.server.resume()
    line.begins() if how != "forgotten" else None
    wait_until(lambda: person.get("/").status == 200, BACK)
    everything = [*running, *waiting]
    found = lambda: [table.run(one)["state"] for one in everything]  # noqa: E731
    errors = lambda: table.query("SELECT error FROM tasks_taskrun WHERE error IS NOT NULL")  # noqa: E731
    wait_until(lambda: set(found()) == {"SUCCESS"}, 60, lambda: f"{found()} {errors()}", every=0.2)
    everybody = line.seconds
    again = stack.watch(running[0])
    again.wait_snapshot()
    program.wait_ok(BACK)
    program.kill()

    table.assert_effects_once(waiting)
    table.assert_ended_once(everything)
    assert {one: table.run(one)["lost"] for one in everything} == dict.fromkeys(everything, 0)
    assert {one: table.run(one)["attempt"] for one in everything} == dict.fromkeys(everything, 1)
    assert slowest < BOUND + 5, slowest  # a page waits for a place in the pool as well
    took = [float(line.split()[2]) for line in program.lines() if line.startswith(("ok", "error"))]
    assert max(took) < BOUND, program.lines()
    assert worker.alive
    assert watcher.wait_final(30)["state"] == "SUCCESS"
    table.close()
    line.measured(
        f"pages ≤ {slowest:.1f} s, a loop ≤ {max(took):.1f} s, all runs ended after {everybody:.1f} s", f"≤ {BOUND:g} s"
    )
