"""The bar in a terminal: for scripts outside any task."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

import progress
from progress.sink import Told
from progress.terminal import TerminalSink, amount, line, track_in_terminal

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def painted(terminal: io.StringIO) -> list[str]:
    """Every state of the line that a person could see."""
    return [part for part in terminal.getvalue().replace("\x1b[K", "").replace("\n", "\r").split("\r") if part]


def test_a_script_in_a_terminal_sees_a_bar_that_ends_full():
    terminal = Terminal()
    assert list(track_in_terminal(range(50), None, "row", "Reading", terminal)) == list(range(50))
    last = painted(terminal)[-1]
    assert "100.0 %" in last
    assert "50 row of 50 row" in last
    assert "Reading" in last
    assert "·" not in last.split("]")[0]
    assert terminal.getvalue().endswith("\n")


def test_a_loop_that_is_left_early_leaves_the_bar_where_it_was():
    terminal = Terminal()
    for item in track_in_terminal(range(10), None, "", None, terminal):
        if item == 4:
            break
    assert "4 of 10" in painted(terminal)[-1]
    assert progress.current() is None


def test_an_error_in_the_loop_passes_through():
    terminal = Terminal()
    with pytest.raises(KeyError):
        for _ in track_in_terminal(range(10), None, "", None, terminal):
            raise KeyError("x")
    assert terminal.getvalue().endswith("\n")


def test_what_the_loop_says_goes_to_the_same_bar():
    terminal = Terminal()
    for item in track_in_terminal(range(3), None, "", None, terminal):
        progress.set(message=f"at {item}")
    assert "at 2" in painted(terminal)[-1]


def test_where_nobody_looks_nothing_is_written():
    stream = io.StringIO()
    assert list(track_in_terminal(iter("ab"), None, "", None, stream)) == ["a", "b"]
    assert stream.getvalue() == ""


def test_log_lines_stay_above_the_bar():
    terminal = Terminal()
    sink = TerminalSink(terminal)
    state = json.dumps({"state": "STARTED", "percent": 50.0, "current": 1, "total": 2})
    sink.publish("", 0, state, [json.dumps({"text": "first line"})], Told(), final=False)
    shown = terminal.getvalue()
    assert shown.index("first line\n") < shown.index("50.0 %")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            {"percent": 25.0, "current": 250, "total": 1000, "unit": "row", "rate": 12.0, "eta": 62.5},
            "[███████·······················]  25.0 %  250 row of 1,000 row  12 row/s  1 min 02 s left",
        ),
        ({"percent": 0.0, "current": 0, "total": 3}, "[······························]   0.0 %  0 of 3"),
        ({"current": 1_500_000, "unit": "bytes", "rate": 2_000}, "1.5 MB  2.0 kB/s"),
        ({"percent": 100.0, "step": "Copy", "message": "done"}, "[" + "█" * 30 + "] 100.0 %  Copy  done"),
        ({}, ""),
    ],
)
def test_a_state_is_one_line(state, text):
    assert line(state) == text


def test_a_running_task_without_a_total_has_a_bar_that_only_moves():
    text = line({"state": "STARTED", "current": 7, "percent": None})
    assert text.count("█") == 1
    assert "%" not in text
    assert text.endswith("  7")


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0, "bytes", "0 B"),
        (999, "bytes", "999 B"),
        (1_000, "bytes", "1.0 kB"),
        (2_500_000, "bytes", "2.5 MB"),
        (3e9, "bytes", "3.0 GB"),
        (1234567, "", "1,234,567"),
        (0.12345, "s", "0.123 s"),
        (2.0, "row", "2 row"),
    ],
)
def test_amounts_are_written_for_people(number, unit, text):
    assert amount(number, unit) == text


def test_a_plain_script_needs_neither_django_nor_redis():
    code = "import progress, sys\nprint(sum(progress.track(range(5), unit='row')))\nassert 'django' not in sys.modules"
    parent, child = pty.openpty()
    script = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=child, timeout=20
    )
    os.close(child)
    shown = b""
    while select.select([parent], [], [], 0.2)[0]:
        try:
            data = os.read(parent, 65536)
        except OSError:  # Linux: the other end is closed and all is read
            break
        if not data:
            break
        shown += data
    os.close(parent)
    assert script.returncode == 0, shown
    assert script.stdout == b"10\n"
    assert "100.0 %" in shown.decode()
