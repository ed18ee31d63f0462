"""A run goes on where its attempt before was, whatever ended that."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from progress import Cancelled
from progress.active import activate, deactivate
from progress.flusher import Flusher
from progress.record import get_record
from progress.reporter import Reporter
from tasks import resume, runs
from tasks.models import TaskRun
from tasks.resume import CheckpointError, NotResumable, Stopped, checkpoint, fenced, resumable, stopping
from tasks.resume.pen import get_pen
from tasks.runs.state import public_state
from tasks.tasks import demo_task, import_orders_task
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
User = get_user_model()


class Killed(BaseException):
    """The process dies here: nothing more is written."""


class Silence:
    """A sink that takes everything and keeps nothing."""

    def publish(self, *_, **__):
        raise ConnectionError

    def poll(self, *_):
        raise ConnectionError


class Life:
    """One run, and its attempts."""

    def __init__(self, run_id: str | None = None) -> None:
        self.id = run_id or demo_task.delay().id
        self.reporter: Reporter | None = None

    @property
    def row(self) -> TaskRun:
        return TaskRun.objects.get(pk=self.id)

    @contextmanager
    def attempt(self, *, version: int = 1) -> Iterator[Reporter]:
        """An attempt that ends in good order, or as if killed where `Killed` is raised."""
        run = runs.claim(self.id, "w")
        assert run is not None
        reporter = self.reporter = Reporter(run.pk, run.attempt, Silence(), Flusher())
        resume.begin(run, reporter, version)
        token = activate(reporter)
        try:
            yield reporter
            resume.settle(reporter)
        except Killed:
            pass
        except BaseException:
            resume.settle(reporter)
            raise
        finally:
            deactivate(token)
            resume.end(reporter)
            if runs.holds(self.id, run.attempt):
                runs.lost(self.id, "w", send_again=False)

    def said(self) -> str:
        assert self.reporter
        return "\n".join(self.reporter._lines.next_frame()[0])


@pytest.fixture
def life() -> Life:
    return Life()


@pytest.fixture(autouse=True)
def _no_worker_ends():
    yield
    stopping.go_on()


def effect(number: object) -> None:
    User.objects.create_user(f"{number}")


def effects() -> list[int]:
    return [int(name) for name in User.objects.order_by("pk").values_list("username", flat=True)]


def numbers_of(source: Any, until: int | None = None, **more: Any) -> list[int]:
    """Go through it, and die within the item `until`."""
    found = []
    for item in resumable(source, **more):
        if item == until:
            raise Killed
        found.append(item)
    return found


def test_a_saved_value_is_there_for_the_next_attempt(life):
    with life.attempt():
        assert checkpoint.load("nothing") == "nothing"
        checkpoint.save(5)
        checkpoint.save({"page": [1, None, "ü"]}, "cursor")
        assert checkpoint.load() == 5
    with life.attempt():
        assert (checkpoint.load(), checkpoint.load(name="cursor")) == (5, {"page": [1, None, "ü"]})
        checkpoint.save(6)
    assert life.row.checkpoint["saved"] == {"": 6, "cursor": {"page": [1, None, "ü"]}}


def test_what_is_loaded_is_not_what_is_stored(life):
    with life.attempt():
        mine = [1]
        checkpoint.save(mine)
        mine.append(2)
        checkpoint.load().append(3)
        assert checkpoint.load() == [1]


ENDS: dict[str, Callable[[], None]] = {
    "an exception": lambda: (_ for _ in ()).throw(RuntimeError()),
    "a cancel": lambda: (_ for _ in ()).throw(Cancelled()),
    "the end of its worker": lambda: (_ for _ in ()).throw(Stopped()),
}


@pytest.mark.parametrize("within", ["nothing", "a transaction", "a fence"])
@pytest.mark.parametrize("value", [{"page": 1}, {"pages": [1]}, [1]], ids=str)
def test_what_the_task_changes_after_its_save_is_not_stored(life, value, within):
    """What was done for page 1 is done; what is begun with page 2 is not."""
    mine = copy.deepcopy(value)
    around: Any = {"nothing": nullcontext, "a transaction": transaction.atomic, "a fence": fenced}[within]
    with pytest.raises(RuntimeError), life.attempt():
        for _ in range(2):  # the second one is the quick way
            with around():
                checkpoint.save(mine)
        if isinstance(mine, dict):
            mine["page"] = 2
        for one in [mine, *mine] if isinstance(mine, list) else list(mine.values()):
            if isinstance(one, list):
                one.append(2)
        assert mine != value
        raise RuntimeError("page 2 was not done")
    with life.attempt():
        assert checkpoint.load() == value
    assert life.row.checkpoint["saved"] == {"": value}


@pytest.mark.parametrize("how", ENDS)
def test_every_orderly_end_writes_what_was_saved(life, how):
    with pytest.raises(BaseException), life.attempt():  # noqa: B017 - each of them
        checkpoint.save(7)
        ENDS[how]()
    assert life.row.checkpoint["saved"] == {"": 7}


def test_the_end_of_a_step_writes_what_was_saved(life):
    with life.attempt() as reporter:
        with reporter.step("One"):
            checkpoint.save(1)
        raise Killed
    assert life.row.checkpoint["saved"] == {"": 1}


def test_what_was_saved_is_written_within_a_second_and_a_slow_item_delays_nothing(life):
    with life.attempt():
        checkpoint.save(1)
        wait_until(lambda: life.row.checkpoint is not None, 10)
        raise Killed
    assert life.row.checkpoint["saved"] == {"": 1}
    assert life.row.advanced


@pytest.mark.slow
def test_fifty_thousand_saves_are_few_writes(life):
    with life.attempt():
        for number in range(50_000):
            checkpoint.save(number)
        wait_until(lambda: (life.row.checkpoint or {}).get("saved") == {"": 49_999}, 10)
        raise Killed
    assert life.row.checkpoint_seq < 30


def test_a_stale_attempt_writes_no_checkpoint_and_is_told(life):
    run = runs.claim(life.id, "w")
    assert run is not None
    sleeper = Reporter(life.id, 1, Silence(), Flusher())
    book = resume.begin(run, sleeper)
    token = activate(sleeper)
    checkpoint.save(1)
    assert book.flush()
    checkpoint.save(99)
    runs.lost(life.id, "w", send_again=False)
    runs.claim(life.id, "w")
    assert not book.flush()
    with pytest.raises(Cancelled):
        checkpoint.save(100)
    with pytest.raises(Cancelled), fenced():
        checkpoint.save(101)
    deactivate(token)
    resume.end(sleeper)
    assert life.row.checkpoint["saved"] == {"": 1}


# --- loops ------------------------------------------------------------------------------------------------------------


def asked(last: int | None) -> range:
    return range((last if last is not None else -1) + 1, 10)


LOOPS: dict[str, Callable[[], Any]] = {
    "a list": lambda: list(range(10)),
    "a range": lambda: range(10),
    "a generator": lambda: (n for n in range(10)),
    "a function": lambda: asked,
}


@pytest.mark.parametrize("what", LOOPS)
def test_a_loop_goes_on_after_the_last_that_was_done(life, what):
    with life.attempt() as reporter:
        try:
            numbers_of(LOOPS[what](), 6, total=10, unit="rows")
        except Killed:
            resume.settle(reporter)  # the pen had just written
            raise
    assert life.row.checkpoint_at["percent"] == 60.0
    with life.attempt() as reporter:
        assert reporter.state()["percent"] == 60.0
        assert (reporter.state()["resumed_from"] or {}).get("percent") == 60.0
        assert numbers_of(LOOPS[what](), total=10, unit="rows") == [6, 7, 8, 9]
        assert reporter.state()["percent"] == 100.0
    assert "Resumed at 60 %, attempt 2." in life.said()
    with life.attempt():
        assert numbers_of((1 // 0 for _ in "x"), total=10) == []  # a finished one is skipped at once, and not looked at


def test_the_bar_never_runs_backwards_between_two_attempts(life, valkey):
    """Viewers saw more than the checkpoint covers: 63 %, and 60 % of it is stored."""
    with life.attempt() as reporter:
        for number in resumable(range(100)):
            if number == 60:
                resume.settle(reporter)
            if number == 63:
                get_record().tell(life.id, reporter.state(), final=False)
                raise Killed
    assert life.row.checkpoint_at["percent"] == 60.0
    assert get_record().read(life.id).changing["percent"] == 63.0
    assert public_state(life.row)["percent"] == 60.0  # while Redis is away
    with life.attempt() as reporter:
        assert (reporter.state()["percent"], reporter.state()["resumed_from"]["percent"]) == (63.0, 60.0)
        seen = [reporter.state()["percent"] for _ in resumable(range(100))]
    assert seen[:4] == [63.0, 63.0, 63.0, 63.0]
    assert seen == sorted(seen)


def test_without_a_write_the_loop_is_made_again(life):
    for _ in range(2):
        with life.attempt():
            numbers_of(range(10), 6)
    assert life.row.checkpoint is None
    assert (life.row.lost, life.row.in_vain) == (2, 2)


def test_several_loops_and_nested_ones(life):
    done: list[tuple[str, object]] = []

    def work(die_at: object) -> None:
        for one in resumable("ab", name="first"):
            done.append(("first", one))
        for outer in resumable([0, 1, 2], name="outer"):
            for inner in resumable(range(3), name="inner"):
                if (outer, inner) == die_at:
                    raise RuntimeError
                done.append(("inner", (outer, inner)))
        for one in resumable("xy", name="last"):
            done.append(("last", one))

    for die_at in ((0, 2), (1, 0), (2, 1)):
        with pytest.raises(RuntimeError), life.attempt():
            work(die_at)
    with life.attempt():
        work(None)
    pairs = [(outer, inner) for outer in range(3) for inner in range(3)]
    assert [what for kind, what in done if kind == "inner"] == pairs
    assert [kind for kind, _ in done] == [*["first"] * 2, *["inner"] * 9, *["last"] * 2]


@pytest.mark.parametrize("changed", ["the same", "another one", "one before it is gone"])
def test_loops_within_an_item_belong_to_that_item(life, changed):
    def work(outer: list[int], die: bool) -> list[tuple[int, int]]:
        done = []
        for one in resumable(outer, name="outer"):
            for two in resumable(range(4), name="inner"):
                if die and (one, two) == (20, 2):
                    raise RuntimeError
                done.append((one, two))
        return done

    with pytest.raises(RuntimeError), life.attempt():
        work([10, 20, 30], True)
    sources = {"the same": [10, 20, 30], "another one": [10, 25, 30], "one before it is gone": [20, 30]}
    with life.attempt():
        done = work(sources[changed], False)
    rest = {"the same": [(20, 2), (20, 3)], "another one": [(25, n) for n in range(4)]}
    left = rest.get(changed, [])
    assert done[: len(left)] == left
    assert done[-4:] == [(30, n) for n in range(4)]


def test_a_loop_that_has_ended_is_skipped_and_a_source_that_has_grown_is_said(life):
    with pytest.raises(RuntimeError), life.attempt():
        numbers_of(range(10))
        raise RuntimeError
    with life.attempt():
        assert numbers_of(range(12)) == []
    assert "has 12 items now, and had 10" in life.said()


def test_two_loops_of_one_name_are_refused(life):
    with life.attempt(), pytest.raises(CheckpointError, match="name of its own"):
        numbers_of([1, 2])
        numbers_of([3, 4])


def test_a_loop_that_was_left_goes_on_within_the_attempt(life):
    source = list(range(5))
    with life.attempt():
        for number in resumable(source):
            if number == 2:
                break
        assert numbers_of(source) == [2, 3, 4]


CHANGED: dict[str, tuple[Any, Any, list[int], str]] = {
    "shrunk at its end": (list(range(10)), list(range(8)), [6, 7], "shrunk from 10 to 8"),
    "shrunk below": (list(range(10)), list(range(3)), [], "shrunk from 10 to 3"),
    "shrunk before": (list(range(10)), list(range(2, 10)), [6, 7, 8, 9], "now number 4, not 6"),
    "grown": (list(range(10)), list(range(12)), [6, 7, 8, 9, 10, 11], "grown from 10 to 12"),
    "grown before": (list(range(10)), [-1, *range(10)], [6, 7, 8, 9], "now number 7, not 6"),
    "a generator that has shrunk": ((n for n in range(10)), (n for n in range(4)), [], "fewer than the 6"),
    "of another kind": (list(range(10)), asked, list(range(10)), "begun anew"),
}


@pytest.mark.parametrize("how", CHANGED)
def test_a_source_that_has_changed_is_said_and_nothing_is_skipped_silently(life, how):
    before, after, left, said = CHANGED[how]
    with pytest.raises(RuntimeError), life.attempt():
        for number in resumable(before):
            if number == 6:
                raise RuntimeError
    with life.attempt():
        assert numbers_of(after) == left
    assert said in life.said()


@pytest.mark.parametrize("how", ["another version", "other arguments"])
def test_a_checkpoint_that_does_not_fit_is_left_and_said(life, how):
    with pytest.raises(RuntimeError), life.attempt():
        checkpoint.save(5)
        for number in resumable(range(10)):
            if number == 5:
                raise RuntimeError
    if how == "other arguments":
        TaskRun.objects.filter(pk=life.id).update(message={"args": [1], "kwargs": {}, "options": {}})
    with life.attempt(version=2 if how == "another version" else 1) as reporter:
        assert checkpoint.load() is None
        assert numbers_of(range(10)) == list(range(10))
        assert reporter.state()["resumed_from"] is None
    assert "Its checkpoint is left" in life.said()


# --- querysets --------------------------------------------------------------------------------------------------------

QUERYSETS: dict[str, Callable[[], Any]] = {
    "by pk": lambda: User.objects.order_by("pk"),
    "by pk, the last first": lambda: User.objects.order_by("-pk"),
    "by id, reversed": lambda: User.objects.order_by("id").reverse(),
    "by a unique name": lambda: User.objects.order_by("username"),
    "by a name that is not unique, then pk": lambda: User.objects.order_by("last_name", "-pk"),
    "by a time, then pk": lambda: User.objects.order_by("-date_joined", "pk"),
    "a slice": lambda: User.objects.order_by("pk")[3:20],
    "filtered": lambda: User.objects.filter(last_name="a").order_by("pk"),
    "values": lambda: User.objects.order_by("pk").values("pk", "username"),
    "values_list": lambda: User.objects.order_by("username").values_list("last_name", "username"),
    "values_list, flat": lambda: User.objects.order_by("username").values_list("username", flat=True),
    "values_list, named": lambda: User.objects.order_by("username").values_list("username", "pk", named=True),
}


@pytest.mark.parametrize("what", QUERYSETS)
@pytest.mark.parametrize("page", [3, 1_000])
def test_a_queryset_is_asked_what_comes_after(life, what, page, monkeypatch):
    monkeypatch.setattr("tasks.resume.queryset.PAGE", page)
    User.objects.bulk_create([User(username=f"{n:02}", last_name="ab"[n % 2]) for n in range(25)])
    whole: list[Any] = list(QUERYSETS[what]())
    found: list[Any] = []
    for stop in (0, 4, 7, None):
        with life.attempt():
            for item in resumable(QUERYSETS[what]()):
                if len(found) == stop:
                    break
                found.append(item)
    assert found == whole
    assert life.row.checkpoint["loops"][""]["total"] == len(whole)


UNORDERED: dict[str, Callable[[], Any]] = {
    "no order": lambda: User.objects.all(),
    "by what several have": lambda: User.objects.order_by("last_name"),
    "at random": lambda: User.objects.order_by("?"),
    "by what may be NULL": lambda: User.objects.order_by("last_login", "pk"),
    "by a relation": lambda: TaskRun.objects.order_by("owner__username", "pk"),
    "values without the key": lambda: User.objects.order_by("pk").values("username"),
    "a union": lambda: User.objects.order_by("pk").union(User.objects.all()),
    "raw": lambda: User.objects.raw(f"SELECT * FROM {User._meta.db_table}"),
    "the manager": lambda: User.objects,
}


@pytest.mark.parametrize("what", UNORDERED)
def test_a_queryset_that_cannot_go_on_is_refused_at_the_call(what):
    with pytest.raises(NotResumable, match=r"."):
        resumable(UNORDERED[what]())


def test_the_order_of_the_model_counts():
    assert len(list(resumable(TaskRun.objects.order_by("pk")))) == 0
    with pytest.raises(NotResumable, match="several rows"):
        resumable(LogEntry.objects.all())  # by action_time
    assert len(list(resumable(TaskRun.objects.all()))) == 0  # by accepted_at and the key


def test_rows_that_go_and_come_during_the_loop(life):
    User.objects.bulk_create([User(pk=n, username=f"{n}") for n in range(1, 11)])
    seen = []
    for stop in (4, None):
        with life.attempt():
            users: Any = User.objects.order_by("pk")
            for user in resumable(users):
                if user.pk == stop:
                    break
                seen.append(user.pk)
                user.delete()
        User.objects.filter(pk=7).delete()
        User.objects.update_or_create(pk=12, defaults={"username": "new"})
    assert seen == [1, 2, 3, 4, 5, 6, 8, 9, 10, 12]


# --- transactions -----------------------------------------------------------------------------------------------------


def test_in_a_fence_the_checkpoint_is_written_with_the_effect(life):
    with life.attempt():
        for number in range(checkpoint.load(0), 10):
            with fenced():
                effect(number)
                checkpoint.save(number + 1)
                if number == 4:
                    raise Killed  # before the commit
    assert effects() == [0, 1, 2, 3]
    assert life.row.checkpoint["saved"] == {"": 4}
    with life.attempt():
        for number in range(checkpoint.load(0), 10):
            with fenced():
                effect(number)
                checkpoint.save(number + 1)
            if number == 6:
                raise Killed  # after it
    with life.attempt():
        assert checkpoint.load() == 7


@pytest.mark.parametrize("what", LOOPS)
def test_a_save_in_a_fence_counts_the_item_of_its_loop_as_done(life, what):
    for stop in (3, 7, None):
        with life.attempt():
            for number in resumable(LOOPS[what]()):
                with fenced():
                    effect(number)
                    checkpoint.save(number)
                if number == stop:
                    checkpoint.save(number, "other")
                    assert life.reporter is not None
                    resume.settle(life.reporter)  # the pen writes once more, and undoes nothing
                    raise Killed
    assert effects() == list(range(10))


@pytest.mark.parametrize("what", LOOPS)
def test_a_loop_within_a_transaction_that_is_rolled_back_has_done_nothing(life, what):
    def work(stop):
        with transaction.atomic():
            for number in resumable(LOOPS[what]()):
                if number == stop:
                    raise RuntimeError
                effect(number)
                checkpoint.save(number, "seen")

    with pytest.raises(RuntimeError), life.attempt():
        work(6)
    assert effects() == []
    with life.attempt():
        assert checkpoint.load(None, "seen") is None
        work(None)
    assert effects() == list(range(10))
    with life.attempt():
        assert checkpoint.load(None, "seen") == 9
        work(None)
    assert effects() == list(range(10))


def test_a_save_that_is_rolled_back_is_forgotten_and_what_was_around_it_is_not(life):
    with life.attempt():
        checkpoint.save(1)
        with pytest.raises(RuntimeError), transaction.atomic():
            checkpoint.save(2)
            assert checkpoint.load() == 2
            raise RuntimeError
        assert checkpoint.load() == 1
        with transaction.atomic():
            checkpoint.save(3)
            with pytest.raises(RuntimeError), transaction.atomic():
                checkpoint.save(4)
                raise RuntimeError
            assert checkpoint.load() == 3
        assert checkpoint.load() == 3
        with fenced():
            checkpoint.save(5)
            with pytest.raises(RuntimeError), transaction.atomic():
                checkpoint.save(6)
                raise RuntimeError
        assert checkpoint.load() == 5
    assert life.row.checkpoint["saved"] == {"": 5}


def test_the_pen_does_not_write_what_a_fence_has_overtaken(life):
    """The pen has looked before the fence, and writes after it."""
    with life.attempt() as reporter:
        checkpoint.save(1)
        checkpoint.save("x", "other")
        book: Any = reporter.book
        look = book.snapshot

        def late(*args):
            found = look(*args)
            if not args:
                with fenced():
                    checkpoint.save(2)
            return found

        book.snapshot = late
        book.flush()
        raise Killed
    assert life.row.checkpoint["saved"] == {"": 2, "other": "x"}


def test_two_threads_in_fences_lose_nothing_of_each_other(life):
    with life.attempt() as reporter:
        checkpoint.load()

        def work(name: str) -> None:
            token = activate(reporter)
            for number in range(20):
                with fenced():
                    checkpoint.save(number, name)
            deactivate(token)
            connection.close()

        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        raise Killed
    assert life.row.checkpoint["saved"] == {"a": 19, "b": 19}


# --- the worker ends --------------------------------------------------------------------------------------------------


def test_a_worker_that_ends_stops_a_loop_after_the_item_that_is_done(life):
    done = []
    with pytest.raises(Stopped), life.attempt():
        for number in resumable(range(10)):
            done.append(number)
            if number == 3:
                stopping.stop()
    stopping.go_on()
    with life.attempt():
        assert numbers_of(range(10)) == [4, 5, 6, 7, 8, 9]


def test_a_worker_that_ends_stops_at_a_save_and_after_a_fence_never_within_a_transaction(life):
    with pytest.raises(Stopped), life.attempt():
        checkpoint.save(1)
        stopping.stop()
        with transaction.atomic():
            checkpoint.save(2)
        with fenced():
            effect(3)
            checkpoint.save(3)
        raise AssertionError("it has stopped")
    assert effects() == [3]
    stopping.go_on()
    with pytest.raises(Stopped), life.attempt():
        assert checkpoint.load() == 3
        stopping.stop()
        checkpoint.save(4)
    assert life.row.checkpoint["saved"] == {"": 4}


def test_a_worker_that_ends_waits_for_a_loop_within_a_transaction(life):
    with life.attempt(), transaction.atomic():
        stopping.stop()
        life.reporter.attention = True
        assert numbers_of(range(5)) == list(range(5))


# --- deaths -----------------------------------------------------------------------------------------------------------


def die(life: Life, *, advance: bool) -> str:
    with life.attempt() as reporter:
        checkpoint.save(checkpoint.load(0) + advance)
        resume.settle(reporter)
        raise Killed
    return str(life.row.state)


@pytest.mark.parametrize(
    ("most", "advances", "deaths"),
    [(3, False, 3), (3, True, 30), (2, True, 20), (1, False, 1), (1, True, 1)],
    ids=["in vain", "with advance", "two", "never twice", "never twice, whatever its checkpoint says"],
)
def test_a_death_after_an_advance_does_not_use_up_the_attempts(life, most, advances, deaths):
    TaskRun.objects.filter(pk=life.id).update(max_attempts=most)
    with life.attempt() as reporter:  # something is saved before
        checkpoint.save(0)
        resume.settle(reporter)
        TaskRun.objects.filter(pk=life.id).update(advanced=False, max_attempts=most + 10)
        raise Killed
    TaskRun.objects.filter(pk=life.id).update(max_attempts=most, lost=0, in_vain=0)
    states = [die(life, advance=advances) for _ in range(deaths)]
    assert states == [*["RETRY"] * (deaths - 1), "FAILURE"]
    assert life.row.error["type"] == "WorkerLost"
    assert f"{deaths} times" in life.row.error["message"] or deaths == 1


def test_a_death_in_vain_counts_among_deaths_after_an_advance(life):
    TaskRun.objects.filter(pk=life.id).update(max_attempts=2)
    assert [die(life, advance=advance) for advance in (True, False, True, True)] == ["RETRY"] * 4
    assert die(life, advance=False) == "FAILURE"
    assert (life.row.lost, life.row.in_vain) == (5, 2)


def test_the_same_value_once_more_in_a_fence_is_no_advance(life):
    TaskRun.objects.filter(pk=life.id).update(max_attempts=2)
    for number in range(3):
        with life.attempt():
            with fenced():
                checkpoint.save("here")
            raise Killed
        assert (life.row.state, life.row.in_vain) == (("RETRY", 0), ("RETRY", 1), ("FAILURE", 2))[number]


# --- again ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def failed() -> TaskRun:
    """A run that failed at 60 %."""
    life = Life(import_orders_task.delay(orders=10, delay=0).id)
    with pytest.raises(RuntimeError), life.attempt():
        for number in resumable(range(1, 11)):
            if number == 7:
                raise RuntimeError
    TaskRun.objects.filter(pk=life.id).update(state="STARTED")
    runs.end(life.id, "FAILURE", attempt=1, error={"type": "E", "message": "m"})
    return life.row


def test_a_run_that_failed_is_run_again_from_its_checkpoint_or_from_the_start(failed):
    for begin, left in (("checkpoint", [7, 8, 9, 10]), ("start", list(range(1, 11)))):
        life = Life(runs.again(failed, begin=begin).pk)
        with life.attempt():
            assert numbers_of(range(1, 11)) == left


def test_a_run_that_ended_well_leaves_no_checkpoint(failed):
    life = Life(runs.again(failed, begin="checkpoint").pk)
    runs.claim(life.id, "w")
    runs.end(life.id, "SUCCESS", attempt=1)
    assert (life.row.checkpoint, life.row.checkpoint_at) == (None, None)
    with pytest.raises(runs.NotAccepted, match="checkpoint"):
        runs.again(life.row, begin="checkpoint")


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_user("sarah", is_staff=True))
    return client


def test_over_http_one_says_from_where(staff, failed):
    def post(**fields):
        return staff.post(f"/tasks/{failed.pk}/retry/", fields, headers={"Accept": "application/json"})

    for fields, percent in (({"from": "checkpoint"}, 60.0), ({"from": "start"}, None), ({}, None)):
        answer = post(**fields)
        assert answer.status_code == 202
        state = staff.get(f"/api/tasks/{answer.json()['task_id']}/").json()["task"]
        assert (state["state"], state["percent"]) == ("PENDING", percent)
    assert staff.get(f"/api/tasks/{failed.pk}/").json()["task"]["go_on_from"]["percent"] == 60.0
    refused = post(**{"from": "the moon"})
    assert refused.status_code == 400
    assert "from must be one of start, checkpoint" in refused.json()["errors"]["from"][0]
    without = staff.post(f"/tasks/{failed.pk}/retry/", b'{"from": 5}', content_type="application/json")
    assert without.status_code == 400
    TaskRun.objects.filter(pk=failed.pk).update(checkpoint_at=None)
    assert post(**{"from": "checkpoint"}).status_code == 409
    assert staff.post(f"/tasks/{failed.pk}/retry/", {"from": "x"}).status_code == 400


def test_the_pages_offer_both(staff, failed):
    page = staff.get(f"/tasks/{failed.pk}/").content.decode().replace("\u00a0", " ")
    assert "Go on from 60 %" in page
    assert 'name="from" value="checkpoint"' in page


def test_in_bulk_those_that_have_a_checkpoint_go_on(staff, failed):
    other = TaskRun.objects.get(pk=demo_task.delay().id)
    runs.claim(other.pk, "w")
    runs.end(other.pk, "FAILURE", attempt=1)
    asked = {"action": "go_on", "run": [failed.pk, other.pk]}
    assert "Go on with 1 run?" in staff.post("/runs/", asked).content.decode()
    answer = staff.post("/runs/", {**asked, "confirmed": "1"}, follow=True)
    assert "1 went on where it was, 1 not: The task has no checkpoint" in answer.content.decode()
    (again,) = TaskRun.objects.filter(retry_of=failed.pk)
    assert (again.checkpoint_at or {})["percent"] == 60.0


def test_a_list_of_runs_reads_no_checkpoint(staff, failed, django_assert_max_num_queries):
    with django_assert_max_num_queries(30) as captured:
        staff.get("/runs/")
    assert not any('"checkpoint"' in query["sql"] for query in captured.captured_queries)


def test_the_thread_that_writes_ends_with_its_last_task(life):
    with life.attempt():
        checkpoint.save(1)
        assert get_pen()._thread is not None
    wait_until(lambda: get_pen()._thread is None, 10)
