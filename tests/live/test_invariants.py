"""The rules of all runs are asked of a stack before it ends, with or without a web server."""

from __future__ import annotations

import pytest

from . import invariants
from .test_doctor import TELL_ANOTHER_END


@pytest.mark.leaves_broken("the fault is planted")
def test_a_planted_fault_is_found_before_a_stack_ends(new_stack, monkeypatch):
    monkeypatch.setattr(invariants, "WITHIN", 1.0)
    stack = new_stack().start()
    stack.wait_state(stack.start_job("echo", 1), "SUCCESS")
    assert invariants.broken(stack) == []
    task_id = stack.shell(TELL_ANOTHER_END).strip()
    wanted = [f"told: SUCCESS was told, but FAILURE is recorded. ({task_id!r})"]
    assert invariants.broken(stack) == wanted
    stack.web.kill()
    assert invariants.broken(stack) == wanted
    with pytest.raises(invariants.Broken, match="SUCCESS was told"):
        invariants.assert_hold(stack)
    stack.valkey.kill()
    assert invariants.broken(stack) == []  # nobody can say
