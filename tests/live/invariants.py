"""What must hold of all runs is asked of a stack before it ends: see `tasks.runs.invariants`.

A running web server answers in milliseconds (`urls.py`); without one, a shell does.
"""

from __future__ import annotations

import json

from tests.waiting import wait_until

from .stack import Stack
from .visitor import Visitor

#: Seconds that a stack gets until all rules hold: whatever a test has killed is repaired by then.
WITHIN = 15.0
ASK = "import json; from tasks.runs.invariants import check; print(json.dumps([str(one) for one in check()]))"


class Broken(AssertionError):
    """A rule of the runs is broken."""


def broken(stack: Stack) -> list[str]:
    """The rules that are still broken after `WITHIN` seconds. None of a stack that a test has left without servers."""
    if not any(worker.alive for worker in stack.workers.values()) or not _servers_answer(stack):
        return []
    found: list[str] = []

    def hold() -> bool:
        found[:] = ask(stack)
        return not found

    try:
        wait_until(hold, WITHIN, every=0.5)
    except AssertionError:
        return found
    return []


def assert_hold(stack: Stack) -> None:
    """Raises `Broken`."""
    found = broken(stack)
    if found:
        raise Broken("after the test these rules are broken:\n" + "\n".join(found))


def ask(stack: Stack) -> list[str]:
    """One look; raises where nobody can be asked."""
    if stack.web is not None and stack.web.alive:
        visitor = Visitor(stack.url, timeout=5)
        try:
            answer = visitor.get("/invariants/")
            if answer.status == 200:
                return list(answer.json())
        except OSError:
            pass
        finally:
            visitor.close()
    return list(json.loads(stack.shell(ASK).splitlines()[-1]))


def _servers_answer(stack: Stack) -> bool:
    """True if broker and Redis run, and answer."""
    for server in stack.servers():
        if not server.alive:
            return False
    try:
        with stack.valkey.client() as client:
            client.ping()
    except Exception:
        return False
    return True
