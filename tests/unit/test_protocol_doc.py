"""docs/PROTOCOL.md says what progress/messages.py says: every frame, field and code, and nothing else."""

from __future__ import annotations

import ast
import re
import types
import typing
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from progress import client_frames, flusher, messages, outbox, size, socket, steps, values
from progress.client_frames import CLIENT_FRAMES
from progress.messages import Changing, CloseCode, TaskState

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md").read_text()


def tables(heading: str) -> list[dict[str, list[str]]]:
    """The tables right below `### heading`: first cell (without backticks) → the other cells."""
    section = re.search(rf"^#+ `?{re.escape(heading)}`?\n(.*?)(?=^#|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert section, f"PROTOCOL.md has no section {heading}"
    found = []
    for block in re.findall(r"^\|[^\n]*\|\n\|[-|]+\|\n((?:\|[^\n]*\|\n)+)", section[1], re.MULTILINE):
        rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in block.splitlines()]
        assert len({row[0] for row in rows}) == len(rows), f"a row of {heading} stands there twice"
        found.append({row[0].strip("`"): row[1:] for row in rows})
    assert found, f"PROTOCOL.md has no table below {heading}"
    return found


def fields(shape: Any) -> dict[str, Any]:
    return get_type_hints(shape)


CHANGING = set(fields(Changing))
ANY_JSON = fields(messages.Feed)["data"]

SHAPES: dict[str, tuple[Any, set[str]]] = {  # heading → (the TypedDict, fields of it that are described elsewhere)
    "snapshot": (messages.Snapshot, set()),
    "update": (messages.Update, CHANGING),
    "log": (messages.Log, set()),
    "feed": (messages.Feed, set()),
    "ping": (messages.Ping, set()),
    "error": (messages.Error, set()),
    "pong": (client_frames.Pong, set()),
    "resync": (client_frames.Resync, set()),
    "cancel": (client_frames.Cancel, set()),
    "subscribe": (client_frames.Subscribe, set()),
    "unsubscribe": (client_frames.Unsubscribe, set()),
    "task": (TaskState, CHANGING),
    "changing part": (Changing, set()),
    "reached": (messages.Reached, set()),
    "step": (messages.Step, set()),
    "parts": (messages.Parts, set()),
    "attempt": (messages.AttemptState, set()),
    "waiting": (messages.Waiting, set()),
    "error object": (messages.TaskError, set()),
    "log line": (messages.LogLine, set()),
}


def test_every_shape_of_the_wire_has_its_section():
    shapes = {value for one in (messages, client_frames) for value in vars(one).values() if typing.is_typeddict(value)}
    assert shapes == {shape for shape, _ in SHAPES.values()}


@pytest.mark.parametrize("heading", SHAPES)
def test_a_section_names_every_field_and_none_that_does_not_exist(heading):
    shape, elsewhere = SHAPES[heading]
    assert set(tables(heading)[0]) == set(fields(shape)) - elsewhere


@pytest.mark.parametrize("heading", SHAPES)
def test_the_type_of_a_field_is_the_one_in_the_code(heading):
    shape, elsewhere = SHAPES[heading]
    described = tables(heading)[0]
    for field, hint in fields(shape).items():
        if field in elsewhere:
            continue
        words = described[field][0]
        if hint == ANY_JSON:
            assert words == "any JSON"
            continue
        parts = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        assert ("null" in words) == (type(None) in parts), (heading, field, words)
        for part in parts:
            if typing.get_origin(part) is typing.Literal and len(get_args(part)) == 1:
                assert f'"{get_args(part)[0]}"' in words, (heading, field, words)
            elif part in WORDS:
                assert re.search(WORDS[part], words), (heading, field, words)


#: How a type is called in the document.
WORDS: dict[Any, str] = {
    bool: "boolean",
    int: "integer|^1$",
    float: "number",
    str: "string|time",
    list[str]: "list of strings",
    list[messages.LogLine]: r"list of \[log lines\]",
    list[messages.Step]: r"list of \[steps\]",
    messages.Waiting: r"\[waiting\]",
    list[messages.AttemptState]: r"list of \[attempts\]",
    messages.Parts: r"\[parts\]",
    messages.TaskError: r"\[error\]",
    messages.Reached: r"\[reached\]",
    TaskState: r"\[task\]",
}


@pytest.mark.parametrize(
    ("heading", "field", "values"),
    [
        ("changing part", "state", get_args(messages.State)),
        ("log line", "level", get_args(messages.Level)),
        ("step", "state", get_args(fields(messages.Step)["state"])),
        ("waiting", "reason", get_args(fields(messages.Waiting)["reason"])),
    ],
)
def test_every_word_of_a_closed_list_is_named(heading, field, values):
    named = re.findall(r"`([^`]+)`", tables(heading)[0][field][-1])
    assert set(named) == set(values)


def test_every_close_code_is_named_with_its_number():
    codes = {str(value): name for name, value in vars(CloseCode).items() if name.isupper()}
    assert {code: cells[0].strip("`") for code, cells in tables("Close codes")[0].items()} == codes


def test_every_error_code_is_named():
    assert set(tables("error")[1]) == set(get_args(fields(messages.Error)["code"]))


def test_every_error_code_that_the_code_uses_is_declared():
    declared = set(get_args(fields(messages.Error)["code"]))
    used = set()
    for module in (messages, client_frames, socket):
        for node in ast.walk(ast.parse(Path(module.__file__ or "").read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("FrameError", "error"):
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    used.add(first.value)
    assert used == declared


def test_every_frame_of_a_client_is_described_with_the_fields_that_are_checked():
    for kind, checked in CLIENT_FRAMES.items():
        assert set(tables(kind)[0]) == {"type", *checked}


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (messages.MAX_CLIENT_FRAME, "A client's frame may have {} characters"),
        (socket.MAX_TASKS, "WebSocket: up to {} tasks"),
        (int(outbox.PING_INTERVAL), "About every {} seconds"),
        (int(outbox.PATIENCE), "does not answer for {} seconds is closed with 4012"),
        (outbox.WINDOW // 1024, "one that leaves {} kB unacknowledged"),
        (round(1 / flusher.FLUSH_INTERVAL), "at most {} updates a second"),
        (values.MAX_MESSAGE, "one line, at most {} characters"),
        (steps.MAX_STEPS, "the last {}"),
        (size.MAX_FRAME, "one of the server's has at most {:,} bytes"),
        (size.MAX_RESULT // 1000, "it has more than {} kB"),
    ],
)
def test_the_numbers_of_the_document_are_those_of_the_code(number, sentence):
    assert sentence.format(number) in re.sub(r"\s+", " ", TEXT)


def test_five_refused_frames_are_five():
    assert socket.MAX_BAD_FRAMES == 5
    assert "After five of them the socket is closed with 4400" in TEXT


def test_the_links_inside_the_document_lead_somewhere():
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
    for path in re.findall(r"\]\((\.\./[^)#]+)\)", TEXT):
        assert (Path(__file__).resolve().parents[2] / "docs" / path).exists(), path
