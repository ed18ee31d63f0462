"""Each way in which a run can end × each thing that can wait for it × each pool, as `matrix.py` has them in its table:
all is final and true, each body was begun as often as the table says, each callback once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from .postgres import Postgres
from .stack import Stack

#: On prefork all ways are tried, in the others those that they can have.
POOLS = ("prefork", "threads", "solo", "gevent")


@pytest.fixture(scope="module", params=POOLS)
def outcome(request, make_stack, guard, tmp_path_factory) -> Any:
    """The whole matrix on one pool, started at once: the table's rows, and what became of each."""
    with contextlib.ExitStack() as ends:
        env = {}
        if request.param == "gevent" and not os.environ.get("TEST_DATABASE_URL"):
            # Greenlets want PostgreSQL: SQLite waits for its one writer in the thread that the writer needs as well.
            folder = Path(tempfile.mkdtemp(prefix="django_starter-postgres-"))
            folder.chmod(0o755)  # the server may run as another user
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
            server = Postgres(folder / "data", env=dict(os.environ), log_path=folder / "postgres.log", guard=guard)
            ends.callback(server.kill)
            server.start()
            env["DATABASE_URL"] = server.url()
        stack: Stack = make_stack(env=env)
        ends.callback(stack.close)
        stack.prepare_database()
        stack.valkey.start()
        stack.start_worker("w1", concurrency=1 if request.param == "solo" else 8, pool=request.param)
        folder = tmp_path_factory.mktemp(f"matrix-{request.param}")
        told = stack.python("-m", "tests.live.matrix", str(folder), request.param, timeout=400)
        assert stack.workers["w1"].alive, "the worker lives on, whatever its tasks do"
        yield json.loads(told.splitlines()[-1])


def wrong(key: str, case: dict[str, Any], table: dict[str, Any]) -> list[str]:
    """What is not as the table says."""
    how, waiting = key.split("-")
    way, end, traces = table[how], case["end"], case["traces"]
    found = []

    def expect(what: str, value: Any, right: Any) -> None:
        if value != right:
            found.append(f"{key}: {what} is {value}, not {right} ({end})")

    if end is None:
        return [f"{key}: there is no such run"]
    well = way["state"] == "SUCCESS"
    expect("its state", end["state"], way["state"])
    expect("bodies begun", traces.get("end", 0), way["bodies"])
    for role, follower in case["waiting"].items():
        expect(f"the state of {role}", follower and follower["state"], way["state"])
        if role == waiting or (role, waiting) == ("body", "body_over_chains"):
            expect(f"executions of {role}", traces.get(role, 0), int(well))
    if waiting == "callback":
        expect("executions of the callback", traces.get("callback", 0), int(well))
    if waiting == "errbacks":
        for role in ("old_errback", "new_errback"):
            expect(f"calls of {role}", traces.get(role, 0), int(not well))
    if waiting == "group":
        expect("the state of the other member", case["beside"]["state"], "SUCCESS")
    return found


@pytest.mark.alone
@pytest.mark.timeout(420)
def test_every_end_is_true_for_all_that_waits_for_it(outcome):
    assert outcome["never_acted_on"] == []
    found = [row for key, case in outcome["cases"].items() for row in wrong(key, case, outcome["table"])]
    assert not found, "\n".join(found)
    assert outcome["left"] == []
