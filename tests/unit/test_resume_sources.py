"""What `resumable` takes, what it refuses, and with which sentence; and what may be a checkpoint."""

from __future__ import annotations

import copy
import io
import json
import math
import sys
from collections import OrderedDict, UserList, deque
from itertools import islice
from typing import Any

import pytest

from tasks.resume import CheckpointError, NotResumable, checkpoint, fenced, resumable
from tasks.resume.source import Source, source_of
from tasks.resume.value import FEW, MAX_CHECKPOINT, SHORT_OF_FEW, kept, read


def begun(make):
    """An iterator of which one item was taken."""
    iterator = iter(make)
    next(iterator)
    return iterator


def generator(n=3):
    yield from range(n)


async def asynchronous():
    yield 1


class OnlyPlaces(UserList):
    """A sequence without slices."""

    def __getitem__(self, at):
        if isinstance(at, slice):
            raise TypeError("no slices")
        return self.data[at]


REFUSED = {
    "a set": (lambda: {1, 2}, "set"),
    "a frozen set": (lambda: frozenset((1, 2)), "set"),
    "an iterator over a set": (lambda: iter({1, 2}), "set"),
    "numbers beside a set": (lambda: enumerate({1, 2}), "set"),
    "a set, mapped": (lambda: map(str, {1, 2}), "set"),
    "a set, zipped": (lambda: zip([1, 2], {1, 2}, strict=True), "set"),
    "a generator that was begun": (lambda: begun(generator()), "begun"),
    "a generator that has ended": (lambda: (g := generator(1), list(g))[0], "begun"),
    "a list that was begun": (lambda: begun([1, 2, 3]), "begun"),
    "a tuple that was begun": (lambda: begun((1, 2, 3)), "begun"),
    "a reversed list that was begun": (lambda: begun(reversed([1, 2, 3])), "begun"),
    "a begun generator, mapped": (lambda: map(str, begun(generator())), "begun"),
    "a begun generator, filtered and numbered": (lambda: enumerate(filter(None, begun(generator()))), "begun"),
    "a file that was read": (lambda: begun(io.StringIO("a\nb\n")), "begun"),
    "an asynchronous generator": (asynchronous, "asynchronous"),
    "a number": (lambda: 5, "int"),
    "nothing": (lambda: None, "NoneType"),
    "a function without an argument": (lambda: lambda: [1], "one argument"),
    "a function of two": (lambda: lambda a, b: [1], "one argument"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_go_on_is_refused_at_the_call_with_a_sentence(what):
    make, word = REFUSED[what]
    with pytest.raises(NotResumable, match=word):
        resumable(make())


SOURCES = {
    "a list": lambda: [1, 2, 3, 4, 5],
    "a tuple": lambda: (1, 2, 3, 4, 5),
    "a range": lambda: range(1, 6),
    "a text": lambda: "12345",
    "a sequence of another make": lambda: UserList([1, 2, 3, 4, 5]),
    "one without slices": lambda: OnlyPlaces([1, 2, 3, 4, 5]),
    "a deque": lambda: deque([1, 2, 3, 4, 5]),
    "a dict": lambda: OrderedDict.fromkeys([1, 2, 3, 4, 5]),
    "the keys of a dict": lambda: dict.fromkeys([1, 2, 3, 4, 5]).keys(),
    "a fresh generator": lambda: (n for n in range(1, 6)),
    "a fresh iterator": lambda: iter([1, 2, 3, 4, 5]),
    "map": lambda: map(int, "12345"),
    "a fresh file": lambda: io.StringIO("1\n2\n3\n4\n5\n"),
    "enumerate from one": lambda: (pair[0] for pair in enumerate("abcde", 1)),
}


@pytest.mark.parametrize("what", SOURCES)
@pytest.mark.parametrize("done", [0, 2, 5])
def test_a_source_goes_on_after_what_was_done(what, done):
    found: Source[Any] = source_of(SOURCES[what]())
    assert [int(item) for item in found.after(done, None)] == [1, 2, 3, 4, 5][done:]
    assert found.missing == 0


@pytest.mark.parametrize("what", SOURCES)
def test_a_source_that_has_shrunk_ends_and_says_how_many_are_missing(what):
    found: Source[Any] = source_of(SOURCES[what]())
    assert list(found.after(7, None)) == []
    assert found.missing == 2


def test_a_function_is_asked_after_what():
    asked = []

    def after(last):
        asked.append(last)
        return range((last or 0) + 1, 6)

    found: Source[Any] = source_of(after)
    assert list(found.after(0, None)) == [1, 2, 3, 4, 5]
    assert list(found.after(3, 3)) == [4, 5]
    assert asked == [None, 3]


def test_a_functions_items_are_json_or_have_a_key():
    plain: Source[Any] = source_of(lambda after: [], None)
    keyed: Source[complex] = source_of(lambda after: [], lambda item: item.real)
    assert plain.key({"id": 1}) == {"id": 1}
    assert keyed.key(complex(2, 3)) == 2
    with pytest.raises(NotResumable, match="key="):
        plain.key(complex(2, 3))


@pytest.mark.parametrize("what", SOURCES)
def test_outside_a_task_a_loop_is_a_loop(what):
    assert [int(item) for item in resumable(SOURCES[what](), total=5, unit="rows")] == [1, 2, 3, 4, 5]


def test_outside_a_task_nothing_is_saved():
    checkpoint.save(5)
    assert checkpoint.load() is None
    assert checkpoint.load(3) == 3
    assert list(islice(resumable(lambda after: [1, 2]), 5)) == [1, 2]


circle: list = []
circle.append(circle)
deep: list = []
for _ in range(100_000):
    deep = [deep]

BAD_VALUES = {
    "NaN": math.nan,
    "infinity": -math.inf,
    "NaN within": {"a": [1, math.nan]},
    "half a character": "a\ud800b",
    "half a character as a key": {"\udfff": 1},
    "NUL": "a\x00b",
    "1 MB": "x" * 1_000_000,
    "just over 64 kB": "x" * 65_536,
    "a number of a million digits": 10**40_000,
    "an object": object(),
    "bytes": b"x",
    "a set": {1},
    "a circle": circle,
    "too deep": deep,
    "a key that is no text": {(1, 2): 3},
}


@pytest.mark.parametrize("what", BAD_VALUES)
def test_what_is_no_small_json_is_refused_at_the_call(what):
    with pytest.raises(CheckpointError, match="checkpoint"):
        checkpoint.save(BAD_VALUES[what])


#: What is wrong in one place of a small dict, which is not made JSON at each call: it is refused there as well.
BAD_PARTS: list[Any] = [
    math.nan,
    math.inf,
    -math.inf,
    "a\ud800b",
    "a\x00b",
    "\x00",
    b"x",
    {1},
    object(),
    1j,
    [math.nan],
    {2: {3}},
]


@pytest.mark.parametrize("part", BAD_PARTS, ids=lambda part: "object" if type(part) is object else repr(part))
def test_what_is_wrong_anywhere_in_a_small_dict_is_refused_at_the_call(part):
    for value in ({"a": part}, {"a": 1, "b": "x", "c": part, "d": 2}, {"a": {"b": part}}):
        with pytest.raises(CheckpointError, match="checkpoint"):
            checkpoint.save(value)
    if isinstance(part, str | bytes):
        with pytest.raises(CheckpointError, match="checkpoint"):
            checkpoint.save({"a": 1, part: 2})


class Text(str):
    """A text of another class."""


#: What a task may save and then change: whether it is copied or made JSON, it is kept as it was.
GOOD: dict[str, Any] = {
    "flat": {"page": 5, "after": "x", "share": 0.5, "all": True, "none": None},
    "empty": {},
    "of large numbers": {"a": 2**70, "b": -(2**63)},
    "with letters of any language": {"ключ": "значение", "🎉": "\n"},
    "with a text of another class": {Text("a"): Text("b")},
    "of keys that are no texts": {1: 2, None: 3, False: 4, 1.5: 5},
    "nested": {"a": {"b": [1, {"c": []}]}},
    "of many keys": {f"key {number}": number for number in range(100)},
    "of long texts": {"x" * 1_000: "y" * 10_000},
    "ordered": OrderedDict(b=1, a=2),
    "a list": [1, [2, {"a": 3}]],
    "a tuple": (1, [2]),
    "a small list": [1, "x", None, 0.5],
}


def changed(value: Any) -> None:
    """Change every list and dict in `value`."""
    for one in list(value.values()) if isinstance(value, dict) else list(value):
        if isinstance(one, dict | list):
            changed(one)
    if isinstance(value, dict):
        value.clear()
        value["later"] = 1
    elif isinstance(value, list):
        value.append("later")


@pytest.mark.parametrize("what", GOOD)
def test_what_is_saved_stays_as_it_was_whatever_the_task_does_with_it(what):
    mine = copy.deepcopy(GOOD[what])
    saved = kept(mine)
    changed(mine)
    assert read(saved) == json.loads(json.dumps(GOOD[what]))
    assert json.dumps(read(saved)) == json.dumps(GOOD[what])
    with pytest.raises(CheckpointError):
        kept([GOOD[what], "x" * 65_536])


def test_a_small_dict_is_never_larger_than_a_checkpoint_may_be():
    """The largest of those that are not made JSON at the call."""
    largest = {f"{number:02}" + "\x01" * (SHORT_OF_FEW - 2): "\x01" * SHORT_OF_FEW for number in range(FEW)}
    assert type(kept(largest)) is dict
    assert len(json.dumps(largest)) <= MAX_CHECKPOINT
    with pytest.raises(CheckpointError, match="65,536"):
        kept(dict.fromkeys(largest, "x" * 5_000))
    numbers = dict.fromkeys(largest, -sys.float_info.max)
    assert len(json.dumps(numbers)) <= MAX_CHECKPOINT


@pytest.mark.parametrize("name", [5, None, "x" * 101, "\ud800", "\x00"])
def test_what_is_no_name_is_refused_at_the_call(name):
    with pytest.raises(CheckpointError):
        checkpoint.save(1, name)
    with pytest.raises(CheckpointError):
        checkpoint.load(None, name)
    with pytest.raises(CheckpointError):
        resumable([1], name=name)


@pytest.mark.parametrize("value", [0, -5, 2**70, 1.5, "ü", None, True, [1, "a"], {"a": {"b": []}}, "x" * 60_000])
def test_small_json_is_taken(value):
    checkpoint.save(value)


@pytest.mark.django_db
def test_outside_a_task_a_fence_is_a_transaction():
    with fenced():
        checkpoint.save(5)
