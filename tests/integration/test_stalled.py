"""An attempt that tells nothing for its `stalled_after` is ended like a death, with its stack. Nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from progress.held import Held
from progress.messages import dumps
from progress.record import get_record
from tasks import runs
from tasks.models import Attempt, State, TaskRun
from tasks.runs import stalled as module
from tasks.runs.stalled import Stalled
from tasks.runs.worker import identity
from tasks.tasks import demo_task

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("valkey")]


class Pool:
    def __init__(self, bounds: dict[str, float], *, kills: bool = True, gives_back: bool = True) -> None:
        self.bounds, self.kills, self.gives_back = bounds, kills, gives_back
        self.killed: list[tuple[str, str]] = []

    def stalled_after(self) -> dict[str, float]:
        return self.bounds

    def stack(self, task_id: str) -> str:
        return ""

    def can_kill(self) -> bool:
        return self.kills

    def end_work(self, task_id: str) -> bool:
        run = TaskRun.objects.get(pk=task_id)
        assert run.sent_at is not None, "nobody sends it before its end"
        self.killed.append((task_id, run.state))
        return self.gives_back


class Scene:
    """A run of this worker, and a clock that only the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, kills: bool = True, bound: float = 5.0) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(module, "time", self)
        run = runs.claim(demo_task.delay().id, identity())
        assert run is not None
        self.id = run.pk
        self.pool = Pool({run.pk: bound}, kills=kills)
        self.stalled = Stalled(self.pool)
        self.say()

    def monotonic(self) -> float:
        return self.now

    def say(self, word: str | None = None) -> None:
        at = datetime.now(UTC).isoformat() if word is None else word
        told = {"state": "STARTED", "attempt": self.row.attempt, "advanced_at": at}
        get_record().publish(self.id, self.row.attempt, dumps(told), [], final=False)

    def answer(self) -> None:
        """The process of the task says where it is."""
        reply = get_record().poll([(self.id, self.row.attempt)])[0]
        if reply.asked is not None:
            reply.asked('  File "mine.py", line 7, in wait_for_ever')

    def look(self, seconds: float, *, every: float = 1.0, says: bool = False) -> None:
        for _ in range(round(seconds / every)):
            self.now += every
            if says:
                self.say()
            self.stalled.look()
            self.answer()

    @property
    def row(self) -> TaskRun:
        return TaskRun.objects.get(pk=self.id)


def test_one_that_hangs_is_ended_like_a_death_with_its_stack(monkeypatch):
    scene = Scene(monkeypatch)
    scene.look(5)
    assert scene.row.state == State.STARTED
    scene.look(4)
    assert (scene.row.state, scene.row.lost) == (State.RETRY, 1)
    assert scene.pool.killed == [(scene.id, "RETRY")], "its process, once the row says so"
    (left,) = Attempt.objects.filter(run=scene.id)
    assert (left.how, left.error) == (
        "hung",
        {"type": "Stalled", "message": "It told nothing for 5 s, and was ended."},
    )
    assert left.traceback == '  File "mine.py", line 7, in wait_for_ever'
    log = get_record().read(scene.id).log
    assert "in wait_for_ever" in log[-1]["text"]
    assert log[-1]["level"] == "error"


@pytest.mark.parametrize("gives_back", [True, False])
def test_its_message_comes_back_from_the_engine_or_from_the_sweep(monkeypatch, gives_back):
    scene = Scene(monkeypatch)
    scene.pool.gives_back = gives_back
    scene.look(10)
    assert scene.row.state == State.RETRY
    assert (scene.row.sent_at is None) == (not gives_back)


def test_one_that_never_said_a_word_is_ended_as_well(monkeypatch):
    scene = Scene(monkeypatch)
    get_record()._client.flushdb()
    scene.look(10)
    assert scene.row.state == State.RETRY


def test_one_whose_stack_nobody_can_tell_is_ended_without(monkeypatch):
    scene = Scene(monkeypatch)
    monkeypatch.setattr(scene, "answer", lambda: None)
    scene.look(5 + module.STACK_WITHIN + 3)
    assert scene.row.state == State.RETRY
    assert Attempt.objects.get(run=scene.id).traceback == ""


def test_its_stack_is_waited_for(monkeypatch):
    """Its process answers only a while after it was asked."""
    scene = Scene(monkeypatch)
    answer = scene.answer
    monkeypatch.setattr(scene, "answer", lambda: None)
    scene.look(5 + module.STACK_WITHIN - 1)
    assert scene.row.state == State.STARTED
    answer()
    scene.look(1)
    assert Attempt.objects.get(run=scene.id).traceback == '  File "mine.py", line 7, in wait_for_ever'


def test_one_that_has_ended_meanwhile_did_not_hang(monkeypatch, caplog):
    scene = Scene(monkeypatch)
    runs.end(scene.id, "SUCCESS", attempt=1)
    lines = len(get_record().read(scene.id).log)
    scene.look(20)
    assert scene.row.state == State.SUCCESS
    assert "hung" not in caplog.text
    assert len(get_record().read(scene.id).log) == lines


def test_the_next_attempt_has_its_own_time(monkeypatch):
    scene = Scene(monkeypatch)
    scene.look(10)
    assert scene.row.state == State.RETRY
    assert runs.claim(scene.id, identity())
    scene.look(4)
    assert (scene.row.state, scene.row.attempt) == (State.STARTED, 2)
    scene.look(6)
    assert scene.row.state == State.RETRY
    assert [one.number for one in Attempt.objects.filter(run=scene.id).order_by("number")] == [1, 2]


def test_the_silence_of_an_attempt_is_not_that_of_the_next(monkeypatch):
    """Neither has ever said a word."""
    scene = Scene(monkeypatch)
    get_record()._client.flushdb()
    scene.look(4)
    runs.lost(scene.id, identity(), send_again=False)
    assert runs.claim(scene.id, identity())
    monkeypatch.setattr(type(get_record()), "read_many", lambda _, ids, since: [Held() for _ in ids])
    scene.look(4)
    assert (scene.row.state, scene.row.attempt) == (State.STARTED, 2)


def test_its_last_attempt_ends_the_run(monkeypatch):
    scene = Scene(monkeypatch)
    TaskRun.objects.filter(pk=scene.id).update(max_attempts=1)
    scene.look(10)
    assert scene.row.state == State.FAILURE
    assert "It told nothing for 5 s" in str(scene.row.error)
    assert scene.pool.killed == [(scene.id, "FAILURE")]


def talks(scene: Scene, monkeypatch: Any) -> None:
    scene.look(60, says=True)


def slept(scene: Scene, monkeypatch: Any) -> None:
    """The machine was suspended, or the worker stopped: nobody could say anything."""
    scene.look(2)
    scene.look(7200, every=3600)


def redis_was_away(scene: Scene, monkeypatch: Any) -> None:
    scene.look(4)
    with monkeypatch.context() as patch:

        def away(*_: object, **__: object) -> None:
            raise ConnectionError

        patch.setattr(type(get_record()), "read_many", away)
        scene.look(30)
    scene.look(4)


def was_set_back(scene: Scene, monkeypatch: Any) -> None:
    """Its word is of last year: a clock that is wrong says nothing."""
    scene.say("2020-01-01T00:00:00+00:00")
    scene.look(3)


def shall_end(scene: Scene, monkeypatch: Any) -> None:
    """A cancel was asked for: that has its own way."""
    runs.cancel(scene.id)
    scene.look(20)


def is_anothers(scene: Scene, monkeypatch: Any) -> None:
    TaskRun.objects.filter(pk=scene.id).update(worker="w2")
    scene.look(20)


@pytest.mark.parametrize("case", [talks, slept, redis_was_away, was_set_back, shall_end, is_anothers])
def test_who_does_not_hang_is_left_alone(case, monkeypatch):
    scene = Scene(monkeypatch)
    case(scene, monkeypatch)
    assert scene.row.state == State.STARTED
    assert scene.pool.killed == []
    assert not Attempt.objects.exists()


def test_where_a_pool_cannot_end_it_nothing_moves_and_it_is_said_once(monkeypatch, caplog):
    scene = Scene(monkeypatch, kills=False)
    scene.look(20)
    assert scene.row.state == State.STARTED
    assert caplog.text.count("cannot end it by force") == 1


def test_without_a_bound_nobody_is_asked(monkeypatch, django_assert_num_queries):
    stalled = Stalled(Pool({}))
    monkeypatch.setattr(module, "get_record", lambda: pytest.fail("asked"))
    with django_assert_num_queries(0):
        stalled.look()
