"""The fault suite: what is broken on purpose, what must hold all the same, and the figures that were measured."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ..stack import Stack
from .database import Database
from .rows import Rows

#: Lines of the table, by the number of the fault: (number, fault, figure, bound).
TABLE: dict[str, tuple[str, str, str]] = {}


#: Files whose tests keep the whole machine busy, or measure what the start of a process is part of. All others wait for
#: most of their time.
BUSY = {
    "test_everything_at_once.py",
    "test_poison_rows.py",
    "test_starts_at_once.py",
    "test_viewers_outlive_servers.py",
    "test_workers_die.py",
}


def pytest_collection_modifyitems(items) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.path.name in BUSY:
            item.add_marker(pytest.mark.alone)


@dataclass
class Fault:
    """One line of the table: a sentence, and what was measured."""

    number: str
    sentence: str
    _since: float = field(default_factory=time.monotonic)

    def begins(self) -> None:
        """The clock starts: the fault happens now."""
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since

    def measured(self, figure: str, bound: str) -> None:
        """Note what the test found; `bound` is what the issue promises."""
        TABLE[self.number] = (self.sentence, figure, bound)

    def took(self, bound: float, what: str, seconds: float | None = None) -> None:
        """Note the time since the fault and fail when it is over `bound` seconds."""
        seconds = self.seconds if seconds is None else seconds
        self.measured(f"{what} {seconds:.1f} s", f"≤ {bound:g} s")
        assert seconds <= bound, f"{self.sentence}: {what} {seconds:.1f} s, promised are {bound:g} s"


@pytest.fixture
def fault(request) -> Callable[[str, str], Fault]:
    """`fault("1", "kill -9 of a pool child in mid-task")`: a line of the table."""

    def make(number: str, sentence: str) -> Fault:
        request.node.user_properties.append(("fault", f"{number} {sentence}"))
        return Fault(number, sentence)

    return make


@pytest.fixture
def rows() -> Iterator[Callable[[Stack], Rows]]:
    """`rows(stack)`: what the stack's database holds, and a count of every end that was written to it."""
    made: list[Rows] = []

    def make(stack: Stack) -> Rows:
        made.append(Rows(stack.env, stack.folder))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def make_database(guard) -> Iterator[Callable[[], Database]]:
    """Makes PostgreSQL servers of this test's own: `new_stack(env=make_database().env)`."""
    with ExitStack() as ends:

        def make() -> Database:
            folder = Path(tempfile.mkdtemp(prefix="django_starter-postgres-"))
            ends.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.chmod(0o755)  # the server may run as another user
            made = Database(folder, guard, dict(os.environ))
            ends.callback(made.close)
            return made

        yield make


@pytest.fixture
def database(make_database) -> Database:
    """A PostgreSQL of this test's own: `new_stack(env=database.env)`."""
    made: Database = make_database()
    return made


def pytest_terminal_summary(terminalreporter) -> None:
    if not TABLE:
        return
    lines = ["| # | fault | measured | promised |", "|---|---|---|---|"]
    for number in sorted(TABLE, key=lambda one: (int("".join(filter(str.isdigit, one))), one)):
        lines.append(f"| {number} | " + " | ".join(TABLE[number]) + " |")
    terminalreporter.section("faults")
    for line in lines:
        terminalreporter.write_line(line)
    # The same lines for docs/RELIABILITY.md.
    if path := os.environ.get("TEST_FAULTS_TABLE"):
        Path(path).write_text("\n".join(lines) + "\n")
