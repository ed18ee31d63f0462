"""The task's pen: a call stores numbers, the flusher tells the newest ones, and nothing ever hurts the task."""

from __future__ import annotations

import contextlib
import decimal
import fractions
import json
import logging
import math
import threading
import time
import types
from typing import Any

import pytest

import progress
from progress import Cancelled, active
from progress import flusher as module
from progress import lines as lines_module
from progress import reporter as reporter_module
from progress import steps as steps_module
from progress.active import activate, deactivate
from progress.flusher import Flusher
from progress.lines import MAX_LINES_A_FRAME
from progress.reporter import Reporter
from progress.sink import Reply
from progress.steps import MAX_STEPS
from progress.values import MAX_LINE
from tests.waiting import wait_until

from .fakes import FakeSink

INTERVAL = 0.02


@pytest.fixture
def sink():
    return FakeSink()


@pytest.fixture
def flusher():
    return Flusher(interval=INTERVAL, poll_interval=0.05)


@pytest.fixture
def reporter(sink, flusher):
    """Open, and the running task's: `progress.set()` means it."""
    reporter = Reporter("t", 1, sink, flusher).open()
    token = activate(reporter)
    yield reporter
    deactivate(token)
    flusher.remove(reporter)


def until(predicate: Any, timeout: float = 5.0) -> Any:
    return wait_until(predicate, timeout, every=0.002)


def state_of(**attributes: Any) -> Any:
    """The public state of a reporter that nobody flushes."""
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    for name, value in attributes.items():
        setattr(reporter, name, value)
    return reporter.state()


# --- telling ----------------------------------------------------------------------------------------------------------


def test_the_first_word_is_told_at_once_after_a_quiet_moment(sink):
    flusher = Flusher(interval=0.5)  # so long that "at once" and "when it is time again" cannot be mistaken
    reporter = Reporter("t", 1, sink, flusher).open()
    until(lambda: sink.bodies)
    until(lambda: reporter.attention)  # the flusher sleeps
    told = sink.times[-1]
    until(lambda: time.monotonic() - told > 0.5)
    began = time.monotonic()
    reporter.set(3, total=10, message="three", unit="row")
    until(lambda: sink.last["current"] == 3)
    assert sink.times[-1] - began < 0.5
    assert {key: sink.last[key] for key in ("total", "message", "unit", "percent")} == {
        "total": 10,
        "message": "three",
        "unit": "row",
        "percent": 30.0,
    }


def test_many_calls_are_told_as_few_frames_and_the_last_word_is_exact(reporter, sink):
    began = time.monotonic()
    count = 0
    while time.monotonic() - began < 0.5:
        count += 1
        progress.set(count, total=10**9)
    took = time.monotonic() - began
    until(lambda: sink.last["current"] == count)
    assert len(sink.bodies) <= took / INTERVAL + 3
    assert count > 100 * len(sink.bodies)
    assert sink.currents == sorted(sink.currents, key=lambda value: value or 0)


def test_two_frames_of_a_task_are_an_interval_apart(reporter, sink):
    for number in range(20):
        progress.set(number)
        time.sleep(INTERVAL / 5)
    until(lambda: sink.last["current"] == 19)
    gaps = [after - before for before, after in zip(sink.times, sink.times[1:], strict=False)]
    assert min(gaps) > INTERVAL * 0.9


def test_nothing_is_told_twice_when_nothing_changes(reporter, sink):
    progress.set(1)
    until(lambda: sink.bodies and sink.last["current"] == 1)
    calls = sink.calls
    progress.set(1)
    time.sleep(5 * INTERVAL)
    assert sink.calls == calls


def test_the_flusher_sleeps_without_news(sink):
    flusher = Flusher(interval=INTERVAL, poll_interval=60)
    reporter = Reporter("t", 1, sink, flusher).open()
    until(lambda: sink.bodies)
    looks = 0
    real = Reporter.has_news

    def counting(self: Reporter) -> bool:
        nonlocal looks
        looks += self is reporter
        return real(self)

    Reporter.has_news = counting  # type: ignore[method-assign]
    try:
        until(lambda: reporter.attention)
        time.sleep(2 * INTERVAL)
        looks = 0
        time.sleep(10 * INTERVAL)
        assert looks == 0
        reporter.set(1)
        until(lambda: sink.last["current"] == 1)
        assert looks > 0
    finally:
        Reporter.has_news = real  # type: ignore[method-assign]
        flusher.remove(reporter)


def test_a_call_between_two_looks_is_never_lost(reporter, sink):
    for number in range(1, 200):
        progress.set(number)
        time.sleep(INTERVAL * (number % 7) / 40)
    until(lambda: sink.last["current"] == 199, timeout=1)


def test_an_end_is_the_last_word_and_carries_the_last_numbers(reporter, sink, flusher):
    for number in range(1000):
        progress.set(number, total=1000)
    reporter.end({"state": "SUCCESS", "result": 42})
    assert flusher.drain(2)
    assert (sink.last["state"], sink.last["result"], sink.last["current"]) == ("SUCCESS", 42, 999)
    assert sink.finals == [False] * (len(sink.finals) - 1) + [True]
    calls = sink.calls
    progress.set(5)
    time.sleep(3 * INTERVAL)
    assert sink.calls == calls


def test_a_retry_ends_the_attempt_but_is_not_final(reporter, sink, flusher):
    reporter.end({"state": "RETRY"})
    assert flusher.drain(2)
    assert sink.finals[-1] is False


def test_close_without_an_end_tells_no_more(reporter, sink):
    until(lambda: sink.bodies)
    reporter.close()
    progress.set(77)
    time.sleep(4 * INTERVAL)
    assert 77 not in sink.currents


def test_close_after_an_end_leaves_the_last_word_to_the_flusher(reporter, sink, flusher):
    sink.open.clear()
    reporter.end({"state": "SUCCESS"})
    reporter.close()
    assert not flusher.drain(0.05)
    sink.open.set()
    assert flusher.drain(2)
    assert sink.last["state"] == "SUCCESS"


def test_a_call_never_waits_for_a_slow_sink(reporter, sink):
    sink.open.clear()
    progress.set(0)
    began = time.monotonic()
    for number in range(10_000):
        progress.set(number)
        progress.advance()
        if number % 100 == 0:
            progress.log(str(number))
    assert time.monotonic() - began < 1
    sink.open.set()


# --- cancel -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["set", "advance", "track", "step", "log"])
def test_a_cancel_is_raised_by_the_next_call_whichever_it_is(reporter, sink, call):
    until(lambda: sink.bodies)
    sink.reply = Reply(cancel_requested=True)
    until(lambda: reporter._cancelled)  # a silent task: the flusher asks
    with pytest.raises(Cancelled):
        match call:
            case "set":
                progress.set(1)
            case "advance":
                progress.advance()
            case "track":
                list(progress.track([1, 2, 3]))
            case "step":
                with progress.step("Work"):
                    pytest.fail("the step has begun")
            case "log":
                progress.log("one more")


def test_a_cancel_stops_a_loop_and_every_call_after_it(reporter, sink):
    sink.reply = Reply(cancel_requested=True)
    with pytest.raises(Cancelled):
        for _ in progress.track(range(10**9)):
            pass
    for _ in range(3):
        with pytest.raises(Cancelled):
            progress.set(1)


def test_a_cancel_passes_an_except_exception_around_a_bad_row(reporter):
    reporter.cancel()
    with pytest.raises(Cancelled), contextlib.suppress(Exception):
        progress.set(1)


def test_a_cancelled_task_says_so_while_it_tidies_up(reporter, sink):
    reporter.cancel()
    with pytest.raises(Cancelled):
        progress.set(1)
    until(lambda: sink.bodies and sink.last["cancel_requested"])


def test_a_logging_handler_never_hears_of_a_cancel(reporter, sink):
    reporter.cancel()
    reporter.write_line("tidying up")
    until(lambda: sink.texts == ["tidying up"])


def test_a_stale_attempt_falls_silent_and_ends_at_its_next_call(reporter, sink):
    sink.reply = Reply(stale=True)
    progress.set(1)
    until(lambda: reporter.stale)
    calls = sink.calls
    with pytest.raises(Cancelled):
        progress.set(2)
    reporter.write_line("nobody hears")
    time.sleep(4 * INTERVAL)
    assert sink.calls == calls


def test_a_silent_attempt_learns_that_it_is_stale(reporter, sink):
    until(lambda: sink.bodies)
    sink.reply = Reply(stale=True)
    until(lambda: reporter.stale)


def test_a_silent_task_learns_of_its_cancel_beside_one_that_talks(reporter, sink, flusher):
    silent_sink = FakeSink()
    silent = Reporter("silent", 1, silent_sink, flusher).open()
    until(lambda: silent_sink.bodies)
    silent_sink.reply = Reply(cancel_requested=True)
    deadline = time.monotonic() + 3
    number = 0
    while not silent._cancelled and time.monotonic() < deadline:
        number += 1
        progress.set(number)
        time.sleep(INTERVAL / 4)
    assert silent._cancelled
    flusher.remove(silent)


def test_a_task_that_says_the_same_again_and_again_hears_its_cancel(reporter, sink):
    progress.set(1, message="waiting")
    until(lambda: sink.bodies and sink.last["message"] == "waiting")
    calls = sink.calls
    sink.reply = Reply(cancel_requested=True)
    with pytest.raises(Cancelled):
        until(lambda: progress.set(1, message="waiting"), timeout=2)
    assert sink.calls - calls <= 1  # nothing was published but the cancel


def test_an_overtaken_task_that_says_the_same_again_and_again_hears_it(reporter, sink):
    progress.set(1)
    until(lambda: sink.bodies and sink.last["current"] == 1)
    sink.reply = Reply(stale=True)
    with pytest.raises(Cancelled):
        until(lambda: progress.set(1), timeout=2)


def test_a_task_that_says_the_same_wakes_the_flusher_once_an_interval(sink):
    flusher = Flusher(interval=0.1, poll_interval=60)
    reporter = Reporter("t", 1, sink, flusher).open()
    until(lambda: reporter.attention)
    wakes = 0
    wake = flusher.wake

    def counting() -> None:
        nonlocal wakes
        wakes += 1
        wake()

    flusher.wake = counting  # type: ignore[method-assign]
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        reporter.set()
        time.sleep(0.002)
    assert wakes < 40, "each of 250 calls woke it"
    flusher.remove(reporter)


def test_all_silent_tasks_are_asked_for_in_one_round_trip(sink, flusher):
    reporters = [Reporter(f"t{number}", 1, sink, flusher).open() for number in range(5)]
    until(lambda: any(len(asked) == 5 for asked in sink.asked))
    sink.reply = Reply(cancel_requested=True)
    until(lambda: all(one._cancelled for one in reporters))
    for one in reporters:
        flusher.remove(one)


def test_one_reporter_that_cannot_be_looked_at_stops_no_other(reporter, sink, flusher):
    class Broken(Reporter):
        def has_news(self) -> bool:
            raise SystemExit

        def publish(self) -> None:
            raise KeyboardInterrupt

    broken = Broken("b", 1, FakeSink(), flusher).open()
    progress.set(7)
    until(lambda: sink.bodies and sink.last["current"] == 7)
    flusher.remove(broken)


# --- track, totals, rate ----------------------------------------------------------------------------------------------


def test_track_yields_everything_and_counts_it(reporter, sink):
    assert list(progress.track("abc", unit="letter", message="spelling")) == ["a", "b", "c"]
    until(lambda: sink.bodies and sink.last["current"] == 3)
    assert (sink.last["total"], sink.last["unit"], sink.last["message"]) == (3, "letter", "spelling")
    assert sink.last["percent"] == 100.0


def test_track_counts_what_is_done_not_what_is_begun(reporter):
    for item in progress.track(["a", "b"]):
        assert reporter.current == {"a": 0, "b": 1}[item]
    assert reporter.current == 2


def test_an_unknown_total_has_a_count_and_no_percentage(reporter, sink):
    assert sum(1 for _ in progress.track(n for n in range(7))) == 7
    until(lambda: sink.bodies and sink.last["current"] == 7)
    assert sink.last["total"] is None
    assert sink.last["percent"] is None
    assert sink.last["eta"] is None


def test_track_of_nothing_is_told_and_harmless(reporter, sink):
    assert list(progress.track([])) == []
    until(lambda: sink.bodies and sink.last["total"] == 0)
    assert sink.last["percent"] is None


def test_a_second_track_begins_again(reporter):
    list(progress.track(range(5), unit="row"))
    list(progress.track(n for n in range(3)))
    assert (reporter.current, reporter.total) == (3, None)


def test_a_total_that_changes_moves_the_percentage(reporter, sink):
    progress.set(5, total=10)
    assert reporter.state()["percent"] == 50.0
    progress.set(total=20)
    assert reporter.state()["percent"] == 25.0
    progress.set(30)
    assert reporter.state()["percent"] == 100.0


def test_what_is_left_out_stays(reporter):
    progress.set(1, 10, "first", "row")
    progress.set(2)
    progress.set(message="second")
    progress.advance(3)
    assert (reporter.current, reporter.total, reporter.message, reporter.unit) == (5, 10, "second", "row")


class Clock:
    """Takes the place of `time` where a reporter looks at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        fake = types.SimpleNamespace(monotonic=lambda: self.now, time=lambda: self.now, sleep=time.sleep)
        for user in (module, reporter_module, steps_module):
            monkeypatch.setattr(user, "time", fake)


def test_rate_and_eta_of_a_steady_task(monkeypatch):
    clock = Clock(monkeypatch)
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    reporter.total = 100
    for second in range(11):
        reporter.current = 4 * second
        state = reporter.state()
        clock.now += 1
    assert state["rate"] == pytest.approx(4)
    assert state["eta"] == pytest.approx((100 - 40) / 4)


def test_the_rate_forgets_how_fast_it_was_half_a_minute_ago(monkeypatch):
    clock = Clock(monkeypatch)
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    reporter.current = 0
    for speed, seconds in ((100, 10), (10, 30)):
        for _ in range(seconds):
            reporter.state()
            clock.now += 1
            reporter.current += speed
    assert reporter.state()["rate"] == pytest.approx(10, rel=0.05)


def test_one_slow_second_does_not_turn_the_rate_over(monkeypatch):
    clock = Clock(monkeypatch)
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    reporter.current = 0
    for _ in range(20):
        reporter.state()
        clock.now += 1
        reporter.current += 100
    reporter.state()
    clock.now += 1
    assert 70 < (reporter.state()["rate"] or 0) < 100


def test_a_count_that_goes_back_begins_a_new_rate(monkeypatch):
    clock = Clock(monkeypatch)
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    for current in (100, 200, 0):
        reporter.current = current
        state = reporter.state()
        clock.now += 1
    assert state["rate"] is None
    assert state["eta"] is None


# --- steps ------------------------------------------------------------------------------------------------------------


def test_steps_share_the_whole_by_their_weights(reporter):
    progress.set(total=4)
    with progress.step("Download", weight=3):
        progress.set(1, total=2)
        assert reporter.state()["percent"] == pytest.approx(100 * 1.5 / 4)
        assert reporter.state()["step"] == "Download"
    assert reporter.state()["percent"] == 75.0
    with progress.step("Unpack"):
        assert reporter.state()["percent"] == 75.0
        progress.set(5, total=5)
        assert reporter.state()["percent"] == 100.0
    assert [(one["name"], one["state"], one["depth"]) for one in reporter.state()["steps"]] == [
        ("Download", "done", 0),
        ("Unpack", "done", 0),
    ]


def test_a_step_without_a_total_around_it_says_nothing_of_the_whole(reporter):
    with progress.step("Scan"):
        progress.set(1, total=4)
        assert reporter.state()["percent"] is None
        assert reporter.state()["steps"][0]["percent"] == 25.0


def test_steps_nest_and_the_percentage_is_that_of_the_whole(reporter):
    progress.set(total=2)
    with progress.step("Outer"):
        progress.set(total=10)
        with progress.step("Inner", weight=5):
            progress.set(1, total=2)
            # half of 5 of 10 of 1 of 2
            assert reporter.state()["percent"] == pytest.approx(12.5)
            assert reporter.state()["step"] == "Inner"
            assert [one["depth"] for one in reporter.state()["steps"]] == [0, 1]
        assert reporter.state()["percent"] == pytest.approx(25.0)
        assert reporter.state()["step"] == "Outer"
    assert reporter.state()["percent"] == 50.0
    assert reporter.state()["step"] is None


def test_a_step_gives_the_bar_around_it_back(reporter):
    progress.set(3, total=10, unit="file")
    with progress.step("Read", weight=2):
        progress.set(100, total=200, unit="bytes")
        assert (reporter.current, reporter.unit) == (100, "bytes")
    assert (reporter.current, reporter.total, reporter.unit) == (5, 10, "file")


def test_a_step_that_fails_says_so_and_its_duration(reporter, monkeypatch):
    clock = Clock(monkeypatch)
    with pytest.raises(KeyError), progress.step("Break"):
        clock.now += 2.5
        raise KeyError("x")
    (step,) = reporter.state()["steps"]
    assert (step["state"], step["seconds"]) == ("failed", 2.5)


def test_of_many_steps_the_last_ones_are_told(reporter):
    for number in range(50):
        with progress.step(f"step {number}"):
            pass
    names = [one["name"] for one in reporter.state()["steps"]]
    assert names == [f"step {number}" for number in range(50 - MAX_STEPS, 50)]


# --- log --------------------------------------------------------------------------------------------------------------


def test_log_lines_are_told_all_and_in_order(reporter, sink):
    for number in range(1, 1001):
        progress.log(f"line {number}", "warning" if number % 2 else "info")
    until(lambda: len(sink.lines) == 1000)
    assert sink.texts == [f"line {number}" for number in range(1, 1001)]
    assert {line["level"] for line in sink.lines} == {"info", "warning"}
    assert max(len(frame) for frame in sink.frames) <= MAX_LINES_A_FRAME


def test_a_long_line_is_cut_and_an_unknown_level_is_info(reporter, sink):
    progress.log("x" * 10_000, "shouting")  # type: ignore[arg-type]
    until(lambda: sink.lines)
    (line,) = sink.lines
    assert len(line["text"]) == MAX_LINE
    assert line["text"].endswith("…")
    assert line["level"] == "info"


def test_too_many_lines_for_a_redis_that_is_away_lose_the_oldest_and_say_how_many(reporter, sink, monkeypatch):
    monkeypatch.setattr(lines_module, "MAX_PENDING_LINES", 100)
    sink.error = ConnectionError("away")
    for number in range(1, 251):
        progress.log(f"line {number}")
    sink.error = None
    until(lambda: sink.texts[-1:] == ["line 250"])
    assert sink.texts[0] == "150 log lines were lost."
    assert sink.texts[1:] == [f"line {number}" for number in range(151, 251)]


def test_a_publish_whose_answer_was_lost_does_not_double_its_lines(reporter, sink):
    sink.error, sink.fails_late = TimeoutError("no answer"), True
    progress.log("one")
    until(lambda: sink.texts == ["one"])
    progress.log("two")
    sink.error = None
    until(lambda: sink.texts[-1:] == ["two"])
    assert sink.texts == ["one", "two"]


# --- a Redis that is away ---------------------------------------------------------------------------------------------


def test_a_task_does_not_notice_that_redis_is_away_and_the_newest_state_is_told_when_it_is_back(reporter, sink, caplog):
    caplog.set_level(logging.INFO, "progress.flusher")
    until(lambda: sink.bodies)
    sink.error = ConnectionError("no route")
    for number in range(500):
        progress.set(number, message=f"at {number}")
        progress.log(f"line {number}") if number % 100 == 0 else None
    until(lambda: sink.calls > 2)
    assert sink.currents == [None]
    sink.error = None
    until(lambda: len(sink.bodies) > 1)
    assert sink.currents[1] == 499  # the newest, none of those between
    assert sink.texts == ["line 0", "line 100", "line 200", "line 300", "line 400"]
    until(lambda: len(caplog.records) == 2)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]  # said once, not with every try


def test_an_end_while_redis_is_away_is_told_when_it_is_back(reporter, sink, flusher):
    sink.error = OSError("away")
    progress.set(9, total=9)
    reporter.end({"state": "SUCCESS"})
    reporter.close()
    assert not flusher.drain(0.1)
    sink.error = None
    assert flusher.drain(3)
    assert sink.last["state"] == "SUCCESS"


def test_one_task_whose_words_are_refused_does_not_silence_another(reporter, sink, flusher):
    other_sink = FakeSink()
    other_sink.error = RuntimeError("only here")
    other = Reporter("other", 1, other_sink, flusher).open()
    other.set(1)
    until(lambda: other_sink.calls)
    progress.set(5)
    until(lambda: sink.bodies and sink.last["current"] == 5)
    flusher.remove(other)


def test_unsent_ends_of_a_long_outage_have_a_bound(sink, flusher, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNSENT_ENDS", 10)
    sink.error = OSError("away")
    for number in range(50):
        Reporter(str(number), 1, sink, flusher).open().end({"state": "SUCCESS"})
    until(lambda: len(flusher._watched) <= 10)
    sink.error = None
    assert flusher.drain(5)


# --- nonsense ---------------------------------------------------------------------------------------------------------


class Broken:
    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


NONSENSE: list[Any] = [
    *(math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 0, -0.0, -1, 10**400, -(10**400), 2**70, True),
    *("5", "five", "", b"5", [], {}, object(), 1j, decimal.Decimal("1.5"), decimal.Decimal("NaN"), Broken()),
    *(fractions.Fraction(1, 3), "\ud800", "x" * 10_000),
]


@pytest.mark.parametrize("value", NONSENSE, ids=[str(at) for at in range(len(NONSENSE))])
def test_whatever_a_task_reports_it_runs_on_and_its_end_is_told(reporter, sink, flusher, value):
    progress.set(value, total=10)
    progress.advance(value)
    progress.set(1, total=value)
    progress.advance(value)
    progress.set(current=value, total=value, message=value, unit=value)
    json.dumps(reporter.state(), allow_nan=False)
    with progress.step(value, weight=value):
        progress.set(value, total=value)
        progress.advance(value)
        json.dumps(reporter.state(), allow_nan=False).encode()
    progress.advance(1)
    progress.log(value, value)
    list(progress.track([1, 2], total=value, unit=value, message=value))
    reporter.end({"state": "SUCCESS", "result": 1})
    assert flusher.drain(2)
    assert sink.last["state"] == "SUCCESS"
    assert sink.texts


@pytest.mark.parametrize("total", [1e308, 1e-308, 10**300])
def test_extreme_numbers_give_finite_rates_and_times(monkeypatch, total):
    clock = Clock(monkeypatch)
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    reporter.total = total
    for current in (-total, 0, total / 3, total):
        reporter.current = current
        text = json.dumps(reporter.state(), allow_nan=False)
        clock.now += 0.05
    assert "Infinity" not in text


def test_a_bool_is_no_amount_and_a_decimal_is():
    assert state_of(current=True)["current"] == 1.0
    assert state_of(current=decimal.Decimal("1.5"), total=3)["percent"] == 50.0


def test_texts_of_any_size_are_bounded():
    state = state_of(message="m" * 10**6, unit="u" * 10**6)
    assert len(json.dumps(state)) < 2_000


# --- outside a task, and in threads -----------------------------------------------------------------------------------


def test_outside_a_task_nothing_happens(capsys):
    assert progress.current() is None
    progress.set(1, 2, "three")
    progress.advance()
    progress.log("nobody")
    with progress.step("quiet", weight=2):
        assert list(progress.track(range(3))) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_an_exception_passes_a_step_outside_a_task():
    with pytest.raises(KeyError), progress.step("quiet"):
        raise KeyError("x")


def test_the_module_acts_on_the_task_of_its_own_context(reporter):
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(active.current()))
    thread.start()
    thread.join()
    assert seen == [None]
    assert progress.current() is reporter


def test_eight_threads_may_use_one_reporter(reporter, sink):
    def work(number: int) -> None:
        for at in range(2_000):
            reporter.advance()
            if at % 20 == 0:
                reporter.log(f"{number}:{at}")
            if at % 500 == 0:
                reporter.state()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(sink.lines) == 800)
    assert reporter.current == 16_000
    for number in range(8):  # each thread's lines in their order, none lost, none doubled
        mine = [text for text in sink.texts if text.startswith(f"{number}:")]
        assert mine == [f"{number}:{at}" for at in range(0, 2_000, 20)]
    until(lambda: sink.last["current"] == 16_000)


def test_one_thread_flushes_for_all_reporters_of_a_process(sink, flusher):
    reporters = [Reporter(str(number), 1, FakeSink(), flusher).open() for number in range(20)]
    thread = flusher._thread
    for one in reporters:
        one.set(1)
        until(lambda one=one: one._sink.bodies and one._sink.last["current"] == 1)
        assert flusher._thread is thread
        flusher.remove(one)


def test_a_flusher_thread_that_died_is_replaced(sink):
    flusher = Flusher(interval=INTERVAL)
    flusher._thread = threading.Thread(target=lambda: None)
    flusher._thread.start()
    flusher._thread.join()
    Reporter("t", 1, sink, flusher).open().end({"state": "SUCCESS"})
    assert flusher.drain(2)


def test_a_forked_process_makes_its_own_flusher():
    parent = module.get_flusher()
    module._forget_flusher()  # what the child runs after a fork
    try:
        assert module.get_flusher() is not parent
    finally:
        module._flusher = parent


@pytest.mark.slow
def test_a_last_word_does_not_wait_for_the_interval():
    flusher, sink = Flusher(interval=5), FakeSink()
    busy = Reporter("busy", 1, FakeSink(), flusher).open()
    reporter = Reporter("t", 1, sink, flusher).open()
    wait_until(lambda: sink.bodies)
    busy.set(1)
    told_of_busy = len(busy._sink.bodies)  # type: ignore[attr-defined]
    began = time.monotonic()
    reporter.end({"state": "SUCCESS"})
    wait_until(lambda: any(sink.finals))
    assert time.monotonic() - began < 1
    assert len(busy._sink.bodies) == told_of_busy  # type: ignore[attr-defined]
