"""The live engine when much happens at once, and when what it stands on breaks: it never lies. Real processes."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from .audience import Viewer, until
from .proxy import Proxy
from .stack import Stack


@asynccontextmanager
async def audience(stack: Stack, task_id: str, count: int, *, within: float = 0.0):
    """`count` viewers who join at random within `within` seconds; none of them may have seen anything odd."""
    viewers = [Viewer(stack.visitor(), task_id) for _ in range(count)]
    tasks = [asyncio.create_task(viewer.watch(random.uniform(0, within))) for viewer in viewers]
    try:
        yield viewers
        done, late = await asyncio.wait(tasks, timeout=20)
        for task in done:
            task.result()
        assert not late, [viewer for viewer in viewers if viewer.close_code != 1000][:5]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [viewer.faults for viewer in viewers if viewer.faults] == []


def numbers(viewer: Viewer) -> list[int]:
    return [line["n"] for line in viewer.log]


def texts(viewer: Viewer) -> list[str]:
    return [line["text"] for line in viewer.log]


async def in_thread(function: Any, *args: Any, **kwargs: Any) -> Any:
    return await asyncio.to_thread(function, *args, **kwargs)


# --- many -------------------------------------------------------------------------------------------------------------


def all_show(viewers, want):
    """True if every viewer shows this number and these log lines."""
    return all((viewer.task.get("current"), texts(viewer)) == want for viewer in viewers)


@pytest.mark.alone
async def test_500_viewers_come_and_go_and_each_sees_every_line_once_and_the_end(stack, tmp_path):
    """A task of five seconds; on a machine that is busy with other things it goes on until all have come and gone."""
    # Ten updates a second: at twenty, 500 viewers in one process of a busy machine would be the slow part.
    gate = tmp_path / "gate"
    task_id = await in_thread(stack.start_job, "recite_until", str(gate), steps=50, delay=0.1, log_every=3)
    async with audience(stack, task_id, 500, within=4.5) as viewers:
        dropped = 0
        while dropped < 200:
            await asyncio.sleep(4.5 / 200)
            there = [viewer for viewer in viewers if viewer.view and not viewer.over and viewer.connections == 1]
            if there:
                random.choice(there).drop()
                dropped += 1
        await until(lambda: all(viewer.view for viewer in viewers), 30)
        gate.touch()
        await until(lambda: all(viewer.over for viewer in viewers), 30, lambda: [v for v in viewers if not v.over][:5])
    assert sum(viewer.connections > 1 for viewer in viewers) >= 150
    assert all(all(viewer.recovered) for viewer in viewers)  # all stayed within the retained window
    lines = viewers[0].task["result"]
    assert lines >= 16
    for viewer in viewers:
        assert texts(viewer) == [f"line {number}" for number in range(1, lines + 1)], viewer
        assert (viewer.task["state"], viewer.task["current"]) == ("SUCCESS", viewers[0].task["current"])
        assert len(viewer.epochs) <= 2  # "" of a task that has not said anything, and the one of its record


# --- loss -------------------------------------------------------------------------------------------------------------


@pytest.mark.alone
async def test_a_channel_layer_that_loses_a_third_is_repaired_within_two_and_a_half_seconds(new_stack, tmp_path):
    stack = await in_thread(lambda: new_stack(env={"DJANGO_SETTINGS_MODULE": "tests.live.lossy_settings"}).start())
    stages = 4
    task_id = await in_thread(stack.start_job, "stages", str(tmp_path), stages)
    async with audience(stack, task_id, 20) as viewers:
        for stage in range(1, stages + 1):
            await until((tmp_path / f"told-{stage}").exists, 15)
            want = (stage * 20, [f"line {number}" for number in range(1, stage * 10 + 1)])

            def right(want: Any = want) -> bool:
                return all((viewer.task.get("current"), texts(viewer)) == want for viewer in viewers)

            await until(right, 2.5, lambda: viewers[:5])
            (tmp_path / f"go-{stage}").touch()
        await in_thread(stack.wait_state, task_id, "SUCCESS", timeout=10)
        await until(lambda: all(viewer.over for viewer in viewers), 2.5, lambda: viewers[:5])
    for viewer in viewers:
        assert texts(viewer) == [f"line {number}" for number in range(1, stages * 10 + 1)]


# --- Redis goes and comes back ----------------------------------------------------------------------------------------


async def test_redis_is_killed_and_comes_back(new_stack, tmp_path):
    """With its data, without it, and with that of a moment ago: three stacks at the same time."""
    stacks = [new_stack() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        for how, stack in zip((with_its_data, without_its_data, with_the_data_of_a_moment_ago), stacks, strict=True):
            group.create_task(how(stack, tmp_path))


async def with_its_data(stack: Stack, folder: Path) -> None:
    await in_thread(stack.start)
    task_id = await in_thread(stack.start_job, "recite", steps=120, delay=0.05, log_every=5)
    async with audience(stack, task_id, 20) as viewers:
        await until(lambda: all((viewer.task.get("current") or 0) > 20 for viewer in viewers), 10)
        await in_thread(stack.valkey.restart, keep_data=True, kill=True)
        await until(lambda: all(viewer.over for viewer in viewers), 20, lambda: viewers[:5])
    for viewer in viewers:
        assert (viewer.task["state"], viewer.task["current"]) == ("SUCCESS", 120)
        assert texts(viewer) == [f"line {number}" for number in range(1, 25)]


async def without_its_data(stack: Stack, folder: Path) -> None:
    await in_thread(stack.start)
    task_id = await in_thread(stack.start_job, "recite", steps=120, delay=0.05, log_every=5)
    async with audience(stack, task_id, 20) as viewers:
        await until(lambda: all((viewer.task.get("current") or 0) > 20 for viewer in viewers), 10)
        await in_thread(stack.valkey.restart, keep_data=False, kill=True)
        restarted = time.monotonic()
        seen = max(viewer.task["current"] for viewer in viewers)
        await until(
            lambda: all(viewer.task["current"] > seen for viewer in viewers), 5
        )  # live again, not only at the end
        assert time.monotonic() - restarted < 5
        await until(lambda: all(viewer.over for viewer in viewers), 20, lambda: viewers[:5])
    for viewer in viewers:
        assert (viewer.task["state"], viewer.task["current"]) == ("SUCCESS", 120)
        assert len(viewer.epochs) >= 2
        assert numbers(viewer) == list(range(1, len(numbers(viewer)) + 1))
        assert texts(viewer)[-1] == "line 24"


async def with_the_data_of_a_moment_ago(stack: Stack, folder: Path) -> None:
    """A power cut: with `appendfsync everysec` the last second is not on the disk."""
    await in_thread(stack.start)
    task_id = await in_thread(stack.start_job, "recite", steps=160, delay=0.05, log_every=5)
    async with audience(stack, task_id, 20) as viewers:
        await until(lambda: all((viewer.task.get("current") or 0) > 30 for viewer in viewers), 10)
        before = folder / "data"
        await in_thread(shutil.copytree, stack.valkey.folder, before)
        copied = max(viewer.task["current"] for viewer in viewers)
        await until(lambda: all(viewer.task["current"] > copied + 15 for viewer in viewers), 10)

        def power_cut() -> None:
            stack.valkey.kill()
            shutil.rmtree(stack.valkey.folder)
            shutil.copytree(before, stack.valkey.folder)
            stack.valkey.start()

        await in_thread(power_cut)
        await until(lambda: all(viewer.over for viewer in viewers), 20, lambda: viewers[:5])
    log = None
    for viewer in viewers:
        assert (viewer.task["state"], viewer.task["current"]) == ("SUCCESS", 160)
        log = log or texts(viewer)
        assert texts(viewer) == log  # all show what the record holds, none a mixture
    assert log is not None
    assert log[-1] == "line 32"
    assert len(log) == len(set(log))


# --- the cable --------------------------------------------------------------------------------------------------------


@pytest.fixture
def cables():
    with ExitStack() as proxies:
        yield lambda stack: proxies.enter_context(Proxy(stack.valkey.port))


async def test_ten_seconds_without_redis_hurt_neither_the_task_nor_the_truth(new_stack, cables):
    """Each with a stack of its own, at the same time: most of it is waiting."""
    async with asyncio.TaskGroup() as group:
        for silent in (True, False):
            group.create_task(the_workers_cable(new_stack(), cables, silent))
            group.create_task(the_web_servers_cable(new_stack(), cables, silent))


async def the_workers_cable(stack: Stack, cables, silent: bool) -> None:
    """One task ends while it is cut, the other goes on after it."""

    def start() -> Proxy:
        stack.prepare_database()
        stack.valkey.start()
        cable: Proxy = cables(stack)
        stack.start_worker("w1", env={"REDIS_URL": cable.url}, wait=False)
        stack.start_web()
        stack.workers["w1"].wait_ready()
        return cable

    cable = await in_thread(start)
    short = await in_thread(stack.start_job, "recite", steps=80, delay=0.05)
    long = await in_thread(stack.start_job, "recite", steps=320, delay=0.05)
    async with audience(stack, short, 5) as shorts, audience(stack, long, 5) as longs:
        viewers = [*shorts, *longs]
        await until(lambda: all((viewer.task.get("current") or 0) > 20 for viewer in viewers), 10)
        cable.cut(silent=silent)
        began = time.monotonic()
        # Its end is in the database; within a few seconds every viewer knows, though the worker cannot say it.
        await until(lambda: all(viewer.over for viewer in shorts), 12, lambda: shorts)
        assert all(viewer.task["state"] == "SUCCESS" for viewer in shorts)
        await asyncio.sleep(max(0.0, 10 - (time.monotonic() - began)))
        assert not any(viewer.over for viewer in longs)
        cable.mend()
        frozen = max(viewer.task["current"] for viewer in longs)
        await until(lambda: all(viewer.task["current"] > frozen for viewer in longs), 4, lambda: longs)
        await until(lambda: all(viewer.over for viewer in longs), 15, lambda: longs)
    for viewer in longs:
        assert (viewer.task["state"], viewer.task["attempt"], viewer.task["current"]) == ("SUCCESS", 1, 320)
        assert texts(viewer) == [f"line {number}" for number in range(1, 65)]


async def the_web_servers_cable(stack: Stack, cables, silent: bool) -> None:
    """Who comes meanwhile sees what the database knows; all see the truth soon after."""

    def start() -> Proxy:
        stack.prepare_database()
        stack.valkey.start()
        cable: Proxy = cables(stack)
        stack.start_worker("w1", wait=False)
        stack.start_web(env={"REDIS_URL": cable.url})
        stack.workers["w1"].wait_ready()
        return cable

    cable = await in_thread(start)
    short = await in_thread(stack.start_job, "recite", steps=60, delay=0.05)
    long = await in_thread(stack.start_job, "recite", steps=320, delay=0.05)
    async with audience(stack, short, 5) as shorts, audience(stack, long, 5) as longs:
        await until(lambda: all((viewer.task.get("current") or 0) > 20 for viewer in [*shorts, *longs]), 10)
        cable.cut(silent=silent)
        began = time.monotonic()
        async with audience(stack, long, 3) as late:
            await until(lambda: all(viewer.task.get("state") == "STARTED" for viewer in late), 8, lambda: late)
            await until(lambda: all(viewer.over for viewer in shorts), 12, lambda: shorts)
            page = await in_thread(stack.get, f"/tasks/{long}/")
            assert page.status == 200
            await asyncio.sleep(max(0.0, 10 - (time.monotonic() - began)))
            cable.mend()
            mended = time.monotonic()
            frozen = max(viewer.task["current"] for viewer in longs)
            everybody = [*longs, *late]
            await until(lambda: all((v.task["current"] or 0) > frozen for v in everybody), 5, lambda: everybody)
            assert time.monotonic() - mended < 5
            await until(lambda: all(viewer.over for viewer in everybody), 15, lambda: everybody)
    for viewer in everybody:
        assert (viewer.task["state"], viewer.task["attempt"], viewer.task["current"]) == ("SUCCESS", 1, 320)
        assert texts(viewer) == [f"line {number}" for number in range(1, 65)]


# --- two attempts at once ---------------------------------------------------------------------------------------------


async def test_of_two_attempts_that_write_at_once_only_the_newer_is_seen(new_stack):
    stack: Stack = await in_thread(lambda: new_stack().start(concurrency=1))
    task_id = await in_thread(stack.start_job, "recite", steps=240, delay=0.05)
    async with audience(stack, task_id, 20) as viewers:
        await until(lambda: all((viewer.task.get("current") or 0) > 40 for viewer in viewers), 10)
        await in_thread(stack.start_worker, "w2", 1)
        stack.workers["w1"].pause()  # it holds its connections and does nothing: for the others it is dead
        await until(lambda: all(viewer.task.get("attempt") == 2 for viewer in viewers), 20, lambda: viewers[:5])
        stack.workers["w1"].resume()  # and now both work, and both tell
        await until(lambda: all((viewer.task["current"] or 0) > 40 for viewer in viewers), 10)
        await in_thread(stack.workers["w1"].wait_for_line, "Refused a late write", 25)
        await until(lambda: all(viewer.over for viewer in viewers), 25, lambda: viewers[:5])
    for viewer in viewers:
        attempts = [attempt for attempt, _ in viewer.shown]
        assert attempts == sorted(attempts)
        assert (viewer.task["attempt"], viewer.task["state"], viewer.task["current"]) == (2, "SUCCESS", 240)
        counts = [current for attempt, current in viewer.shown if attempt == 2]
        assert counts == sorted(counts)
        # The first attempt's lines until the second one's first, then only the second one's.
        first = len(texts(viewer)) - 48
        assert texts(viewer)[first:] == [f"line {number}" for number in range(1, 49)]
        assert texts(viewer)[:first] == [f"line {number}" for number in range(1, first + 1)]
