"""Rights end when they end: at every open socket within seconds, and before the next command at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from progress import hub as hub_module
from progress.source import NOBODY, Handshake, OpenSocket
from tasks.models import TaskRun
from tasks.web.source import RunSource

from .people import signed_in, started, visitor
from .sockets import Tab, make_hub

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
hub = pytest.fixture(make_hub)


class Scene:
    """Who is there: alice with a run of hers, bob with one of his, and sam of the staff."""

    def __init__(self) -> None:
        self.alice, self.bob = signed_in("alice"), signed_in("bob")
        self.sam = signed_in("sam", is_staff=True)
        self.run, self.others = started(self.alice), started(self.bob)
        self.anonymous = visitor()
        self.runs = {
            "alice": self.run,
            "sam": self.others,
            "anonymous": started(self.anonymous),
        }

    def cookie(self, who: str) -> str:
        return str(getattr(self, who).cookies["sessionid"].value)


def users(**change: Any) -> Callable[[Scene], object]:
    return lambda scene: get_user_model().objects.update(**change)


def new_password(scene: Scene) -> None:
    user = get_user_model().objects.get(username="alice")
    user.set_password("another one")
    user.save()


#: Each way in which a right ends: who held it, and what happens.
ENDS: dict[str, tuple[str, Callable[[Scene], object]]] = {
    "logs out": ("alice", lambda scene: scene.alice.post("/logout/")),
    "is deactivated": ("alice", users(is_active=False)),
    "is deleted": ("alice", lambda scene: get_user_model().objects.filter(username="alice").delete()),
    "has another password": ("alice", new_password),
    "has an expired session": (
        "alice",
        lambda scene: Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1)),
    ),
    "has a deleted session": ("alice", lambda scene: Session.objects.all().delete()),
    "visitor without a session any more": ("anonymous", lambda scene: Session.objects.all().delete()),
    "visitor when a login is required": ("anonymous", lambda scene: None),
    "is staff no more": ("sam", users(is_staff=False)),
    "staff logs out": ("sam", lambda scene: scene.sam.post("/logout/")),
    "staff is deactivated": ("sam", users(is_active=False)),
    "has given the run away": (
        "alice",
        lambda scene: TaskRun.objects.filter(pk=scene.run).update(owner=get_user_model().objects.get(username="bob")),
    ),
}


async def at(who: str, scene: Scene, *, alone: bool, run: str = "") -> Tab:
    """`who` at a socket that shows their run."""
    run = run or scene.runs[who]
    tab = Tab(scene.cookie(who), run if alone else None)
    if not alone:
        tab.subscribe(run, feeds=("mine",))
    await tab.sees("snapshot", task_id=run)
    return tab


@pytest.mark.parametrize("alone", [True, False], ids=["one task", "list"])
@pytest.mark.parametrize("name", ENDS)
async def test_a_socket_closes_when_the_right_ends(hub, settings, name, alone):
    scene = await asyncio.to_thread(Scene)
    who, ends = ENDS[name]
    tab = await at(who, scene, alone=alone)
    if "login is required" in name:
        settings.TASKS_REQUIRE_LOGIN = True
    await asyncio.to_thread(ends, scene)
    assert await tab.closes() == 4404
    told = len(tab.frames)
    tab.send({"type": "cancel", "task_id": scene.runs[who]})
    await tab.leave()
    assert len(tab.frames) == told
    assert not await TaskRun.objects.filter(cancel_requested_at__isnull=False).aexists()
    assert not await TaskRun.objects.filter(state="REVOKED").aexists()


@pytest.mark.parametrize("name", [name for name in ENDS if name != "has given the run away"])
async def test_no_command_is_obeyed_after_the_right_ended(hub, settings, monkeypatch, name):
    monkeypatch.setattr(hub_module, "RECHECK_EVERY", 1_000)  # nobody looks before the command
    await asyncio.sleep(0.3)
    scene = await asyncio.to_thread(Scene)
    who, ends = ENDS[name]
    one, many, feeds = [await at(who, scene, alone=alone) for alone in (True, False, False)]
    if "login is required" in name:
        settings.TASKS_REQUIRE_LOGIN = True
    await asyncio.to_thread(ends, scene)
    one.send({"type": "cancel"})
    many.send({"type": "cancel", "task_id": scene.runs[who]})
    feeds.subscribe(scene.run, scene.others, feeds=("status",))
    for tab in (one, many, feeds):
        assert await tab.closes() == 4404
        await tab.leave()
    assert not any(frame.get("feed") == "status" for frame in feeds.frames)
    assert not await TaskRun.objects.filter(state="REVOKED").aexists()


STAYS: dict[str, tuple[str, Callable[[Scene], object]]] = {
    "nothing happens": ("alice", lambda scene: None),
    "becomes staff": ("alice", users(is_staff=True)),
    "somebody else logs out": ("alice", lambda scene: scene.bob.post("/logout/")),
    "somebody else signs in": ("anonymous", lambda scene: signed_in("carol")),
    "is staff no more, but the run is theirs": ("alice", users(is_staff=False)),
}


@pytest.mark.parametrize("alone", [True, False], ids=["one task", "list"])
@pytest.mark.parametrize("name", STAYS)
async def test_a_socket_stays_while_its_right_does(hub, name, alone):
    scene = await asyncio.to_thread(Scene)
    who, happens = STAYS[name]
    if "no more" in name:
        await asyncio.to_thread(users(is_staff=True), scene)
    tab = await at(who, scene, alone=alone)
    await asyncio.to_thread(happens, scene)
    await asyncio.sleep(0.8)  # two looks
    assert tab.code is None
    tab.send({"type": "cancel", "task_id": scene.runs[who]})
    await tab.leave()  # what was sent before is obeyed
    assert await TaskRun.objects.filter(pk=scene.runs[who], state="REVOKED").aexists()


async def test_a_list_goes_on_without_a_run_that_was_deleted_and_a_page_of_it_does_not(hub):
    scene = await asyncio.to_thread(Scene)
    many, one = await at("alice", scene, alone=False), await at("alice", scene, alone=True)
    await TaskRun.objects.filter(pk=scene.run).adelete()
    assert await one.closes() == 4404
    assert many.code is None
    for tab in (one, many):
        await tab.leave()


async def test_a_database_that_cannot_say_ends_nothing(hub, monkeypatch):
    scene = await asyncio.to_thread(Scene)
    tab = await at("alice", scene, alone=True)

    loop, asked = asyncio.get_running_loop(), asyncio.Event()

    def broken(self: RunSource, sockets: Any) -> Any:
        loop.call_soon_threadsafe(asked.set)
        raise ConnectionError("the database is away")

    monkeypatch.setattr(RunSource, "recheck", broken)
    await asyncio.wait_for(asked.wait(), 5)
    await asyncio.sleep(0.2)
    assert tab.code is None
    monkeypatch.undo()
    await tab.leave()


def test_all_sockets_of_a_process_cost_as_many_queries_as_one():
    scene = Scene()
    people = ["alice", "bob", "sam", "anonymous"]
    source: Any = RunSource()
    for count in (1, 1_000):
        asked: list[OpenSocket] = []
        for number in range(count):
            who = people[number % 4]
            handshake = Handshake({"sessionid": scene.cookie(who)}, None)
            viewer = source.admit([handshake])[0][0] if number < 4 else asked[number % 4].viewer
            asked.append(OpenSocket(handshake, viewer, (scene.runs.get(who, scene.others),)))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            viewers = source.recheck(asked)
        assert len(queries) <= 3
        assert NOBODY not in viewers
        assert [one.viewer for one in asked] == viewers


async def test_a_source_of_before_is_asked_by_its_admission():
    from progress.async_source import AsyncSource

    class Old:
        who = "alice"

        def admit(self, handshakes):
            assert all(one.task_id is None for one in handshakes)
            return [(self.who, None) for _ in handshakes]

        def states(self, viewer, task_ids):
            return {one: {} for one in task_ids if one == "shared" or viewer == "alice"}

    old: Any = Old()
    source = AsyncSource(old)
    sockets = [OpenSocket(Handshake({}, None), "alice", (task_id,)) for task_id in ("shared", "own")]
    assert await source.recheck(sockets) == ["alice", "alice"]
    old.who = "bob"
    assert await source.recheck(sockets) == ["bob", NOBODY]
    source._thread.shutdown()
