"""`./start_project.sh`, then what comes first: an app of one's own, as README has it; the quick tests; the main job."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from .document import ROOT
from .shared_venv import share_packages

pytestmark = pytest.mark.timeout(1500)

#: What is typed after `./start_project.sh`, beside the name.
WAYS = {"myshop": [], "our_own_bookshop": ["--without-downloads", "--without-demos"]}


def call(command: list[str], cwd: Path) -> str:
    env = {
        name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR", "TEST_BROWSER")
    }
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, f"{command}:\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def own_task() -> tuple[str, str]:
    """README's example of a task of one's own, and of the line that starts it each weekday."""
    part = (ROOT / "README.md").read_text().partition("## Your own task")[2].partition("\n## ")[0]
    task, schedule = re.findall(r"^```python\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    return task, schedule


def make_app(project: Path, *, with_django: bool) -> None:
    """The two ways that README has."""
    if not with_django:
        (project / "shop").mkdir()
        (project / "shop" / "__init__.py").touch()
        return
    python = [".venv/bin/python"]
    call([*python, "manage.py", "startapp", "shop"], project)
    tidy = "ruff check --fix shop && ruff format shop"
    assert f"`{tidy}`" in (ROOT / "README.md").read_text()
    for command in tidy.split(" && "):
        call([*python, "-m", *command.split()], project)


@pytest.fixture(scope="module", params=WAYS)
def project(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("projects")
    call([str(ROOT / "start_project.sh"), request.param, request.param, *WAYS[request.param]], folder)
    made: Path = folder / request.param
    share_packages(made)
    make_app(made, with_django=request.param == "myshop")
    task, schedule = own_task()
    (made / "shop" / "tasks.py").write_text(task)
    settings = made / request.param / "settings.py"
    text = settings.read_text()
    assert '    "tasks",\n' in text
    text = text.replace('    "tasks",\n', '    "tasks",\n    "shop",\n')
    begin = "CELERY_BEAT_SCHEDULE = {\n"
    assert begin in text
    settings.write_text(text.replace(begin, begin + schedule))
    return made


def test_its_quick_tests_are_green_with_an_app_of_ones_own(project):
    said = call(["./run_tests.sh", "quick"], project)
    assert re.search(r"\d{3,} passed", said)
    assert "failed" not in said and "error" not in said


def test_its_main_job_is_done_in_a_browser(project):
    said = call(["./run_tests.sh", "tests/live/test_start_task_in_browser.py"], project)
    assert re.search(r"^=+ 1 passed|\b1 passed", said, re.MULTILINE)
