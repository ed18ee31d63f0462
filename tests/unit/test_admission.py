"""Which sockets come in, and how many one viewer may hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from progress.admission import Admission
from progress.source import Admitted, Handshake


class FakeSource:
    """Everybody is who their cookie says."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    async def admit(self, handshakes: Sequence[Handshake]) -> Sequence[Admitted]:
        self.batches.append(len(handshakes))
        return [(one.cookies["name"], None) for one in handshakes]

    def counted_as(self, viewer: Any, handshake: Handshake) -> str:
        return f"{viewer} at {handshake.address}"


def admission(most: int) -> Admission:
    source: Any = FakeSource()
    return Admission(source, most)


async def test_handshakes_are_admitted_each_as_its_own_viewer():
    assert await admission(0).admit(Handshake({"name": "alice"}, "t")) == ("alice", None)


async def test_a_viewer_may_hold_so_many_sockets_and_comes_in_again_when_one_is_gone():
    door = admission(2)
    alice = Handshake({}, None, "10.0.0.1")
    first, second = door.enter("alice", alice), door.enter("alice", alice)
    assert first == second == "alice at 10.0.0.1"
    assert door.enter("alice", alice) is None
    assert door.enter("bob", alice) == "bob at 10.0.0.1"
    door.leave("alice at 10.0.0.1")
    assert door.enter("alice", alice) == "alice at 10.0.0.1"


async def test_without_a_limit_nobody_is_told_apart():
    door = admission(0)
    assert {door.enter("alice", Handshake({}, None)) for _ in range(50)} == {""}
    for _ in range(50):
        door.leave("")
