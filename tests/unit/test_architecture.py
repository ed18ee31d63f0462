"""Who may know whom: django_starter → tasks → progress, never back."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from django.apps import apps as installed

ROOT = Path(__file__).resolve().parents[2]

#: What each package of ours may import of the others.
MAY_IMPORT = {
    "progress": set(),
    "tasks": {"progress"},
    "django_starter": {"tasks", "progress"},
}

#: These work without anything installed: in a worker's hot path, in another project, in a plain script.
STANDARD_LIBRARY_ONLY = [
    *(
        "__init__",
        "messages",
        "view_state",
        "errors",
        "types",
        "reporter",
        "flusher",
        "sink",
        "steps",
        "whole",
        "lines",
        "rate",
        "values",
        *("active", "threads", "stored", "resumed", "silence", "where"),
    ),
    *("terminal", "compat", "celery", "logs", "batch", "outbox", "eager"),
    *("held", "listener", "topic", "state", "audience", "background", "size", "seldom"),
]

#: Each outside thing is known by few files.
KNOWN_BY = {
    # In settings.py its crontab alone, as its users write their schedules.
    "celery": {
        *("tasks/celery/", "tasks/tasks.py", "tasks/downloads/tasks.py", "progress/live/signals.py"),
        *("django_starter/celery.py", "django_starter/settings.py", "tasks/django_tasks/"),
        *("tasks/__init__.py", "tasks/checks.py"),  # `tasks.install(app)`, and whether it was called
    },
    "kombu": {"tasks/celery/"},
    "redis": {
        *("progress/child_count.py", "progress/layer.py", "progress/now.py", "progress/record.py"),
        *("progress/redis.py", "progress/watch.py", "progress/live/starts.py", "tasks/celery/", "tasks/huey/"),
        *("tasks/runs/beats.py", "tasks/runs/waiting.py", "tasks/runs/sweep.py", "tasks/runs/counts.py"),
        "tasks/runs/heart.py",
        "django_starter/processes/",
    },
    "channels_redis": {"progress/layer.py"},
    "huey": {"tasks/huey/", "tasks/downloads/huey_tasks.py"},
    "django_tasks": {"tasks/django_tasks/"},
}

#: The rooms of `tasks`, and which of the others each may import. "": the files beside them, which everybody may know.
ROOMS = {
    "": {"runs", "schedules", "resume", "celery", "web", "jobs"},
    "huey": {"resume", "runs", ""},
    "django_tasks": {"celery", "runs", ""},
    "runs": {""},
    "resume": {"runs", ""},
    "schedules": {"runs", ""},
    "celery": {"resume", "schedules", "runs", ""},
    "web": {"schedules", "runs", ""},
    "jobs": {"resume"},
    "downloads": {"web", "resume", "runs", "celery", ""},
    "management": {"schedules", "runs", ""},
    "templatetags": {"web", "runs", ""},
    "migrations": {""},
}
#: Of the files beside the rooms, those that a room may import: the words, and what a task says to be offered.
BESIDE = {"models", "startable"}
#: The life of a run knows none of these.
ENGINES = {"celery", "kombu", "billiard", "amqp", "huey", "django_tasks"}

#: What stands at the root. A new name here is a decision.
TOP_LEVEL = {
    *("manage.py", "django_starter", "tasks", "progress", "templates", "start_dev.sh", "start_all_services.sh"),
    *("start_project.sh", "hatch_build.py", "Dockerfile", "compose.yaml", "deploy"),
    *("supervisord.conf", "requirements.txt", "requirements.in", "requirements-dev.txt", "requirements-dev.in"),
    *(
        "tests",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "pyproject.toml",
        "run_tests.sh",
        "docs",
        "benchmarks",
    ),
    # Made by tools, ignored by git.
    *("staticfiles", "media"),
}


#: Of one file.
MAX_LINES = 350
#: Lines that say `Any`, without imports. What comes from outside has a type in the main: `progress.types.JSON`, a
#: Protocol of what is asked of it, `object` where nothing is. What is left is private to a library, or in no type:
#: huey has none, and Django's tasks have other ones than their backport.
MAX_ANY = 50


@cache
def nodes(source: str) -> list[ast.AST]:
    """Of its tree; many tests look at the same files."""
    return list(ast.walk(ast.parse(source)))


def files_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """The full dotted name of everything that the file imports, relative ones resolved."""
    return imports_in(path.read_text(), path)


def imports_in(source: str, path: Path) -> set[str]:
    """`imports_of` of another text in that file's place."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found: set[str] = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_arrows_point_from_the_wiring_to_the_work_to_the_telling(package):
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package] - {package} | {"tests", "benchmarks"}
    files = files_of(package)
    assert len(files) > 5
    backwards = {str(path.relative_to(ROOT)): tops(path) & forbidden for path in files if tops(path) & forbidden}
    assert not backwards


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_names_in_settings_or_strings_do_not_smuggle_an_arrow_back(package):
    forbidden = set(MAY_IMPORT) - MAY_IMPORT[package] - {package}
    if package == "progress":
        for path in files_of(package):
            for node in nodes(path.read_text()):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                    assert not node.value.startswith(tuple(f"{name}." for name in forbidden)), (path, node.value)


@pytest.mark.parametrize("module", STANDARD_LIBRARY_ONLY)
def test_the_reporter_and_the_frames_import_the_standard_library_only(module):
    path = ROOT / "progress" / f"{module}.py"
    outside = {name for name in tops(path) if name not in sys.stdlib_module_names and name != "progress"}
    assert not outside
    inside = {name.split(".")[1] for name in imports_of(path) if name.startswith("progress.")}
    ours = {other.stem for other in (ROOT / "progress").glob("*.py")}
    # `progress.children` waits for Celery's groups, and imports what it needs when it is called.
    assert inside & ours <= {*STANDARD_LIBRARY_ONLY, *(["child_count"] if module == "__init__" else [])}


def test_the_engine_is_known_by_one_package_and_progress_knows_none():
    for path in files_of("progress"):
        if path == ROOT / "progress" / "live" / "signals.py":  # the adapter to Celery without stored runs
            continue
        assert not tops(path) & {"celery", "kombu", "billiard", "huey", "rq"}, path


@pytest.mark.parametrize("thing", KNOWN_BY)
def test_each_outside_thing_is_known_by_few_files(thing):
    for package in MAY_IMPORT:
        for path in files_of(package):
            name = path.relative_to(ROOT).as_posix()
            if thing in tops(path):
                assert any(name == place or name.startswith(place) for place in KNOWN_BY[thing]), name


def room_of(name: str) -> str:
    """The room of `tasks` that a dotted name is in; "" for the files beside them."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""


def rooms_known_by(path: Path) -> set[str]:
    """`room` or `room.file` of everything in `tasks` that a file imports."""
    found = set()
    for name in imports_of(path):
        if name.split(".")[0] == "tasks" and name != "tasks":
            room = room_of(name)
            found.add(room or f".{name.split('.')[1]}")
    return found


@pytest.mark.parametrize("room", [room for room in ROOMS if room and (ROOT / "tasks" / room).is_dir()])
def test_the_rooms_of_tasks_know_each_other_one_way(room):
    files = sorted((ROOT / "tasks" / room).rglob("*.py"))
    assert files
    allowed = ROOMS[room] | {room} | {f".{name}" for name in BESIDE if "" in ROOMS[room]}
    wrong = {str(path.relative_to(ROOT)): rooms_known_by(path) - allowed for path in files}
    assert not {path: rooms for path, rooms in wrong.items() if rooms}


def test_nothing_outside_imports_downloads():
    for path in [*files_of("tasks"), *files_of("progress")]:
        if "downloads" not in path.parts:
            assert not any(name.startswith("tasks.downloads") for name in imports_of(path)), path


def test_the_life_of_a_run_knows_no_engine():
    for path in sorted((ROOT / "tasks" / "runs").rglob("*.py")):
        assert not tops(path) & ENGINES, path


def test_one_file_moves_a_state():
    """An UPDATE or an assignment of `state` is in moves.py alone; a new row begins as its model says."""
    for path in files_of("tasks"):
        if path.name in ("moves.py", "models.py") or "migrations" in path.parts:
            continue
        for node in nodes(path.read_text()):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update":
                named = {word.arg for word in node.keywords}
                assert "state" not in named or path.name == "ends.py", f"{path}:{node.lineno}"


def files_in_circles(folder: Path) -> list[list[str]]:
    """Files of a package that import each other in a circle, each circle once; imports for types alone do not count."""
    package = ".".join(folder.relative_to(ROOT).parts)
    modules = {path.stem: path for path in folder.glob("*.py") if path.stem != "__init__"}
    known = {}
    for stem, path in modules.items():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                node.body = [ast.Pass()]
        source = ast.unparse(tree)
        names = imports_of(path) if "TYPE_CHECKING" not in path.read_text() else imports_in(source, path)
        known[stem] = {other for other in modules if other != stem and f"{package}.{other}" in names}
    circles = []
    for start in known:
        stack, seen = [(start, [start])], set()
        while stack:
            here, way = stack.pop()
            for following in known[here]:
                if following == start and min(way) == start:
                    circles.append(way)
                elif following not in seen:
                    seen.add(following)
                    stack.append((following, [*way, following]))
    return circles


@pytest.mark.parametrize("folder", [path.parent for path in sorted(ROOT.glob("*/**/__init__.py"))], ids=str)
def test_no_circle_among_the_files_of_a_package(folder):
    if folder.relative_to(ROOT).parts[0] in MAY_IMPORT:
        assert not files_in_circles(folder)


def own_imports(package: str) -> dict[str, set[str]]:
    """Each module of the package, and those of its modules that it imports, also within a function."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files_of(package)}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    return {name: (imports_of(path) & set(modules)) - {name} for name, path in modules.items()}


def circle_in(package: str) -> list[str]:
    """The names of one circle of imports among the files of the package; empty where there is none."""
    try:
        TopologicalSorter(own_imports(package)).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return []


#: `django_starter` has a test of its rooms of its own; the rooms of `tasks` follow below.
WITHOUT_CIRCLE = ["progress"]


@pytest.mark.parametrize("package", WITHOUT_CIRCLE)
def test_the_files_of_a_package_form_no_circle(package):
    assert not circle_in(package)


def too_long(package: str) -> dict[str, int]:
    """The files of the package that are longer than `MAX_LINES`."""
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files_of(package)}
    return {name: lines for name, lines in lengths.items() if lines > MAX_LINES}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_file_is_longer_than_can_be_read_in_one_go(package):
    assert not too_long(package)


def lines_that_say_any() -> list[str]:
    """`path:line` of each, imports left out."""
    found = []
    for path in (path for package in MAY_IMPORT for path in files_of(package)):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\bAny\b", line) and not re.search(r"\bimport\b", line):
                found.append(f"{path.relative_to(ROOT).as_posix()}:{number}")
    return found


def test_few_lines_say_any():
    found = lines_that_say_any()
    assert len(found) <= MAX_ANY, found


def test_nothing_unexpected_stands_at_the_root():
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and path.name != "__pycache__"}
    apps = {config.name.partition(".")[0] for config in installed.get_app_configs()}  # whoever adds one has decided
    assert found <= TOP_LEVEL | apps


def test_a_backward_import_would_be_seen(tmp_path, monkeypatch):
    file = tmp_path / "progress" / "bad.py"
    file.parent.mkdir()
    file.write_text("def f():\n    from tasks.models import TaskRun\n    from ..tasks import runs\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert "tasks" in tops(file)


def test_a_line_more_that_says_any_would_be_seen(tmp_path, monkeypatch):
    package = tmp_path / "tasks"
    package.mkdir()
    (package / "one.py").write_text("from typing import Any\n\n\ndef f(x: Any) -> Any:\n    return x  # in Many ways\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert lines_that_say_any() == ["tasks/one.py:4"]


def test_a_circle_of_two_files_and_a_file_that_grew_would_be_seen(tmp_path, monkeypatch):
    package = tmp_path / "progress"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from .two import b\n")
    (package / "two.py").write_text("def b():\n    from . import one\n" + "#\n" * MAX_LINES)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert set(circle_in("progress")) == {"progress.one", "progress.two"}
    assert set(too_long("progress")) == {"progress/two.py"}
