"""In an environment without huey and without django-tasks all else works, and nothing of them is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.live.stack import ROOT

#: What is left out, by the first word of its name in site-packages.
EXTRAS = ("huey", "django_tasks")


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """Of a virtual environment with everything that is installed here, but for those."""
    home = tmp_path_factory.mktemp("without") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = home / "lib" / version / "site-packages"
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name.partition("-")[0].partition(".")[0] not in EXTRAS:
            (packages / path.name).symlink_to(path)
    return home / "bin" / "python"


def run(python: Path, *arguments: str, timeout: float = 60.0) -> str:
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "TEST_BROWSER") if name in os.environ}
    env["ENV_FILE"] = os.devnull
    if "pytest" not in arguments:  # which would read the settings before tests/conftest.py has said what they are
        env["DJANGO_SETTINGS_MODULE"] = "django_starter.settings"
    done = subprocess.run([str(python), *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{arguments}:\n{done.stdout[-6_000:]}\n{done.stderr[-6_000:]}"
    return done.stdout


def test_they_are_not_there(python):
    code = "from importlib.util import find_spec; print([find_spec(name) for name in ('huey', 'django_tasks')])"
    assert run(python, "-c", code).strip() == "[None, None]"


def test_nothing_of_them_is_imported(python):
    code = (
        "import django; django.setup()\n"
        "import sys, django_starter.asgi, django_starter.celery\n"
        "import tasks.tasks, tasks.celery.heart, tasks.downloads.tasks\n"
        "print([name for name in sys.modules if name.startswith(('tasks.huey', 'tasks.django_tasks'))])"
    )
    assert run(python, "-c", code).strip() == "[]"
    assert "no issues" in run(python, "manage.py", "check")


def test_who_asks_for_huey_is_told_what_to_install(python):
    code = "import os; os.environ['DOWNLOADS_ENGINE'] = 'huey'; import django; django.setup()"
    with pytest.raises(AssertionError, match="DOWNLOADS_ENGINE=huey needs a package: pip install huey"):
        run(python, "-c", code)


@pytest.mark.timeout(900)
def test_all_unit_and_integration_tests_but_theirs_pass(python):
    theirs = ("tests/integration/test_huey.py", "tests/integration/test_django_tasks.py")
    left_out = [f"--ignore={path}" for path in theirs]
    run(python, "-m", "pytest", "-q", "-x", "tests/unit", "tests/integration", *left_out, "-m", "not slow", timeout=880)


def test_a_run_goes_from_the_browser_s_start_to_its_end(python):
    run(python, "-m", "pytest", "-q", "tests/live/test_downloads.py", "-k", "nobody_elses or nonsense", timeout=110)
