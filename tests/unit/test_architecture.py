"""Who may know whom: django_starter → tasks → progress, never back."""

from __future__ import annotations

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

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
        "rate",
        "values",
    ),
    *("terminal", "compat", "celery", "logs", "batch", "outbox", "eager"),
    *("held", "listener", "topic", "state", "audience", "background"),
]

#: Each outside thing is known by few files.
KNOWN_BY = {
    "celery": {"tasks/", "django_starter/celery.py"},
    "kombu": {"tasks/"},
    "redis": {
        *("progress/child_count.py", "progress/layer.py", "progress/record.py"),
        "progress/redis.py",
        *("progress/views.py", "progress/watch.py", "tasks/canvas.py", "tasks/consumer.py"),
        *("tasks/beats.py", "tasks/queue_status.py", "tasks/workers.py", "tasks/metrics.py"),
        "django_starter/dev/",
    },
    "channels_redis": {"progress/layer.py"},
}

#: What stands at the root. A new name here is a decision.
TOP_LEVEL = {
    *("manage.py", "django_starter", "tasks", "progress", "templates", "start_dev.sh", "start_all_services.sh"),
    *("supervisord.conf", "requirements.txt", "requirements.in", "requirements-dev.txt", "requirements-dev.in"),
    *("tests", "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", "run_tests.sh", "docs", "benchmarks"),
    # Made by tools, ignored by git.
    *("staticfiles", "media"),
}


#: Of one file.
MAX_LINES = 350


def files_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """The full dotted name of everything that the file imports, relative ones resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
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
            for node in ast.walk(ast.parse(path.read_text())):
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
        assert not tops(path) & {"celery", "kombu", "billiard", "huey", "rq"}, path


@pytest.mark.parametrize("thing", KNOWN_BY)
def test_each_outside_thing_is_known_by_few_files(thing):
    for package in MAY_IMPORT:
        for path in files_of(package):
            name = path.relative_to(ROOT).as_posix()
            if thing in tops(path):
                assert any(name == place or name.startswith(place) for place in KNOWN_BY[thing]), name


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


#: `tasks` joins them with its rooms: today `access` and `feeds` know each other.
WITHOUT_CIRCLE = ["progress", "django_starter"]


@pytest.mark.parametrize("package", WITHOUT_CIRCLE)
def test_the_files_of_a_package_form_no_circle(package):
    assert not circle_in(package)


def too_long(package: str) -> dict[str, int]:
    """The files of the package that are longer than `MAX_LINES`."""
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in files_of(package)}
    return {name: lines for name, lines in lengths.items() if lines > MAX_LINES}


@pytest.mark.parametrize("package", ["progress"])
def test_no_file_is_longer_than_can_be_read_in_one_go(package):
    assert not too_long(package)


def test_nothing_unexpected_stands_at_the_root():
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and path.name != "__pycache__"}
    assert found <= TOP_LEVEL


def test_a_backward_import_would_be_seen(tmp_path, monkeypatch):
    file = tmp_path / "progress" / "bad.py"
    file.parent.mkdir()
    file.write_text("def f():\n    from tasks.models import TaskRun\n    from ..tasks import runs\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert "tasks" in tops(file)


def test_a_circle_of_two_files_and_a_file_that_grew_would_be_seen(tmp_path, monkeypatch):
    package = tmp_path / "progress"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from .two import b\n")
    (package / "two.py").write_text("def b():\n    from . import one\n" + "#\n" * MAX_LINES)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert set(circle_in("progress")) == {"progress.one", "progress.two"}
    assert set(too_long("progress")) == {"progress/two.py"}
