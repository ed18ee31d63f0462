"""Which folder of django_starter/ may import which: what several share is a room of its own, and there is no circle."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.unit.test_architecture import ROOT, imports_of

WIRING = ROOT / "django_starter"
#: What each room may import of the others. The start scripts and the doctor know what they share, and not each other.
MAY_IMPORT: dict[str, set[str]] = {
    "processes": set(),
    "dev": {"processes"},
    "serve": {"processes"},
    "doctor": {"processes"},
    "management": {"doctor"},
    "postgresql": set(),
    "new": set(),
}
#: A file with more lines has more than one idea.
MOST_LINES = 350


def rooms_known(path: Path) -> set[str]:
    """The rooms of the wiring that a file imports from."""
    parts = [name.split(".") for name in imports_of(path) if name.startswith("django_starter.")]
    return {part[1] for part in parts if part[1] in MAY_IMPORT}


def modules() -> dict[str, Path]:
    """Each file of the wiring by its dotted name."""
    paths = sorted(WIRING.rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def test_there_is_no_room_without_a_rule():
    rooms = {path.parent.relative_to(WIRING).parts[0] for path in WIRING.rglob("*.py") if path.parent != WIRING}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_knows_only_what_it_may(room):
    for path in (WIRING / room).rglob("*.py"):
        assert rooms_known(path) - {room} <= MAY_IMPORT[room], path


def test_a_file_outside_the_rooms_knows_none_of_them():
    for path in WIRING.glob("*.py"):
        assert not rooms_known(path), path


def test_the_files_form_no_circle():
    names = modules()
    # Every import of a module imports its packages first: that is no step of a circle.
    steps = {name for name, path in names.items() if path.name != "__init__.py"}
    graph = {name: imports_of(names[name]) & steps - {name} for name in steps}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"These files import each other: {' → '.join(error.args[1])}")


def test_no_file_is_too_long():
    assert not [name for name, path in modules().items() if len(path.read_text().splitlines()) > MOST_LINES]
