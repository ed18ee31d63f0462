"""No value of any type hurts the task that tells it, and none breaks what is stored or sent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.utils import translation
from django.utils.translation import gettext_lazy

import progress
from progress.active import activate, deactivate
from progress.celery import show_meta
from progress.compat import ProgressRecorder
from progress.flusher import Flusher
from progress.messages import dumps
from progress.reporter import Reporter
from progress.values import plain_text

from .fakes import FakeSink


def fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError("this value answers nothing")


#: An object each of whose answers is an exception.
Mean = type(
    "Mean",
    (),
    dict.fromkeys(
        [
            *("__float__", "__int__", "__index__", "__str__", "__repr__", "__eq__", "__ne__", "__lt__", "__gt__"),
            *("__le__", "__ge__", "__bool__", "__format__", "__hash__", "__len__", "__length_hint__", "__add__"),
            *("__radd__", "__getitem__", "__mul__", "__rmul__", "__truediv__", "__contains__"),
        ],
        fail,
    ),
)
MeanText = type(
    "MeanText", (str,), dict.fromkeys(["__eq__", "__hash__", "__str__", "__len__", "encode", "replace"], fail)
)
MeanDict = type("MeanDict", (dict,), dict.fromkeys(["get", "items", "__getitem__", "__len__"], fail))
MeanInt = type("MeanInt", (int,), dict.fromkeys(["__eq__", "__add__", "__radd__", "__float__", "__bool__"], fail))


class GivesMeanText:
    def __str__(self) -> str:
        return MeanText("mean")


class Scalar:
    """As NumPy's: a number whose comparisons are no booleans."""

    def __float__(self) -> float:
        return 2.5

    def __eq__(self, other: object) -> Any:
        return Mean()

    __hash__ = None  # type: ignore[assignment]

    def __radd__(self, other: object) -> Any:
        return Mean()


circle: list[Any] = []
circle += [circle, circle]
NASTY: dict[str, Any] = {
    "signalling NaN": Decimal("sNaN"),
    "quiet NaN": Decimal("NaN"),
    "infinite Decimal": Decimal("Infinity"),
    "NaN": float("nan"),
    "inf": float("inf"),
    "huge int": 10**5000,
    "big int": 10**400,
    "tiny": 5e-324,
    "complex": 1j,
    "fraction": Fraction(10**400, 3),
    "bytes": b"\xff\x00",
    "dict": {"a": {1: Mean()}},
    "circle": circle,
    "nested": [[[Mean()]]],
    "mean": Mean(),
    "mean text": MeanText("x"),
    "gives mean text": GivesMeanText(),
    "mean dict": MeanDict(a=1),
    "mean int": MeanInt(3),
    "scalar": Scalar(),
    "class": Mean,
    "surrogate": "a\ud800b",
    "NUL": "a\x00b",
    "long": "x" * 100_000,
    "exception": RuntimeError(Mean()),
    "generator": iter(()),
    "none": None,
    "bool": True,
}

recorder = ProgressRecorder(object())
YES: Any = gettext_lazy("Yes")
NO: Any = gettext_lazy("No")


def in_step(value: Any, weight: Any) -> None:
    with progress.step(value, weight):
        progress.advance()


CALLS: dict[str, Callable[[Any], Any]] = {
    "set current": lambda value: progress.set(value, 10),
    "set total": lambda value: progress.set(3, value),
    "set message": lambda value: progress.set(message=value),
    "set unit": lambda value: progress.set(unit=value),
    "set all": lambda value: progress.set(value, value, value, value),
    "advance": lambda value: progress.advance(value),
    "advance after": lambda value: (progress.set(value), progress.advance(1.5), progress.advance(value)),  # type: ignore[func-returns-value]
    "track total": lambda value: list(progress.track("abc", value)),
    "track unit": lambda value: list(progress.track("abc", 3, value)),
    "track message": lambda value: list(progress.track("abc", 3, "u", value)),
    "track length": lambda value: list(progress.track(Lengthy(value))),
    "step name": lambda value: in_step(value, 1),
    "step weight": lambda value: in_step("a", value),
    "step inside": lambda value: (progress.set(value, value), in_step("a", 1)),  # type: ignore[func-returns-value]
    "log text": lambda value: progress.log(value),
    "log level": lambda value: progress.log("a", value),
    "set_progress": lambda value: recorder.set_progress(value, 3, "a"),
    "set_progress total": lambda value: recorder.set_progress(1.5, value, "a"),
    "set_progress description": lambda value: recorder.set_progress(1, 2, value),
    "set_progress all": lambda value: recorder.set_progress(value, value, value),
    "increment_progress": lambda value: recorder.increment_progress(value, value),
    "meta": show_meta,
    "meta current": lambda value: show_meta({"current": value, "total": value}),
    "meta message": lambda value: show_meta({"message": value, "unit": value}),
    "reporter.current": lambda value: setattr(progress.current(), "current", value),
    "write_line": lambda value: progress.current().write_line(value, value),  # type: ignore[union-attr]
}


class Lengthy:
    def __init__(self, length: Any) -> None:
        self.length = length

    def __len__(self) -> Any:
        return self.length

    def __iter__(self) -> Iterator[int]:
        return iter([1, 2])


@pytest.fixture
def reporter():
    reporter = Reporter("t", 1, FakeSink(), Flusher())
    token = activate(reporter)
    yield reporter
    deactivate(token)


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("call", CALLS)
def test_no_value_hurts_a_call_or_what_is_published(reporter, call, value):
    CALLS[call](NASTY[value])
    reporter.has_news()
    reporter.publish()
    assert not reporter.has_news(), "the same is told for ever"
    frame = json.dumps(reporter._sink.bodies[-1:] + reporter._sink.lines, ensure_ascii=False)
    frame.encode()
    assert "\x00" not in frame and "\\u0000" not in frame
    reporter.set(4, 8, "still", "here")
    reporter.advance()
    reporter.publish()
    assert reporter._sink.last["percent"] == 62.5


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("call", [one for one in CALLS if one not in ("reporter.current", "write_line")])
def test_no_value_hurts_a_call_outside_a_task(call, value):
    CALLS[call](NASTY[value])


@pytest.mark.parametrize("value", NASTY)
@pytest.mark.parametrize("nest", [lambda v: v, lambda v: {"a": [v]}, lambda v: {"a": {"b": (v, v)}}])
def test_the_last_word_is_told_whatever_the_result_is(reporter, value, nest):
    reporter.end({"state": "SUCCESS", "result": nest(NASTY[value])})
    reporter.publish()
    assert reporter._sink.last["state"] == "SUCCESS"
    dumps(reporter._sink.bodies).encode()


def test_a_lazy_translation_is_told_in_the_callers_language(reporter):
    with translation.override("de"):
        progress.set(message=YES, unit=NO)
    with translation.override("fr"):
        reporter.publish()
    assert (reporter._sink.last["message"], reporter._sink.last["unit"]) == ("Ja", "Nein")
    with translation.override("de"):
        list(progress.track("a", unit=NO, message=YES))
        recorder.set_progress(1, 2, YES)
    assert (reporter.message, reporter.unit) == ("Ja", "Nein")
    with translation.override("de"):
        show_meta({"message": NO})
    assert reporter.message == "Nein"


def test_a_text_is_never_longer_than_its_bound():
    assert len(plain_text("x" * 10**6, 50)) == 50
    assert plain_text("\ud800\x00é", 10) == "?\ufffdé"
    with contextlib.suppress(RuntimeError):
        plain_text(Mean(), 10)
