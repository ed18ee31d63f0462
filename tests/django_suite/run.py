"""Run the backport's own tests of its backends on `tasks.django_tasks.CeleryBackend`, whichever Django is installed.

    python -m tests.django_suite.run CHECKOUT [arguments of pytest]

CHECKOUT: of github.com/RealOrangeOne/django-tasks. Where its tests ask for `ImmediateBackend` or `DummyBackend`, they
get ours; on Django 6 `django_tasks` is `django.tasks` in them. Ends with 1 if a test fails that is not named in
`differences.txt`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = ("tests/tests/test_immediate_backend.py", "tests/tests/test_dummy_backend.py", "tests/tests/test_tasks.py")
#: In the text of the suite: their backends, and tests that need no database, which a run does.
SWAPPED = (
    (r"django_tasks\.backends\.(immediate|dummy)\.(Immediate|Dummy)Backend", r"suite_backend.\2"),
    (
        r"from django_tasks\.backends\.(?:immediate|dummy) import (\w+)Backend",
        r"from suite_backend import \1 as \1Backend",
    ),
    (r"\bSimpleTestCase\b", "TransactionTestCase"),
)
#: On Django 6: its own names and words.
OF_DJANGO = (
    (r"\bInvalidTask(Backend)?Error\b", r"InvalidTask\1"),
    (r"\bdjango_tasks\.utils import normalize_json\b", "django.utils.json import normalize_json"),
    (r"\bdjango_tasks\b", "django.tasks"),
    ("support async tasks", "support async Tasks"),
)


def main(checkout: Path, arguments: list[str]) -> int:
    """0 if every test passes, but for those that are named."""
    if not (checkout / FILES[0]).is_file():
        raise SystemExit(f"{checkout} is no checkout of django-tasks: it has no {FILES[0]}.")
    home = Path(tempfile.mkdtemp(prefix="django-suite-"))
    try:
        return run_in(home, checkout, arguments)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run_in(home: Path, checkout: Path, arguments: list[str]) -> int:
    """The run, in a scratch folder."""
    shutil.copytree(checkout / "tests", home / "tests")
    for path in (home / "tests").rglob("*.py"):
        path.write_text(swapped(path.read_text()))
    text = (HERE / "suite_backend.py").read_text()
    (home / "suite_backend.py").write_text(f"{text}\n\nImmediate, Dummy = Done, Waiting\n")
    shutil.copy(HERE / "suite_settings.py", home)
    (home / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = suite_settings\n")
    (home / "dev").mkdir()
    env = {key: value for key, value in os.environ.items() if key not in ("REDIS_URL", "BROKER_URL")}
    env |= {"PYTHONPATH": f"{home}{os.pathsep}{ROOT}", "DEV_DIR": str(home / "dev"), "ENV_FILE": os.devnull}
    report = home / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:valkey",
        f"--junit-xml={report}",
    ]
    subprocess.run([*command, *FILES, *arguments], cwd=home, env=env, check=False)
    return judge(report)


def swapped(text: str) -> str:
    for pattern, replacement in SWAPPED + (OF_DJANGO if find_spec("django.tasks") else ()):
        text = re.sub(pattern, replacement, text)
    return text


def judge(report: Path) -> int:
    """Names what differs and is not expected to, and what is expected to and does not."""
    lines = (HERE / "differences.txt").read_text().splitlines()
    expected = {line.partition(": ")[0] for line in lines if line and not line.startswith("#")}
    cases = list(xml.parse(report).getroot().iter("testcase")) if report.exists() else []
    failed, passed = set(), 0
    for case in cases:
        name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(name)
        else:
            passed += 1
    for name in sorted(failed - expected):
        print("NOT EXPECTED TO FAIL", name)
    for name in sorted(expected - failed):
        print("expected to fail, but passed", name)
    print(f"{passed} passed, {len(failed & expected)} differ as expected, {len(failed - expected)} fail")
    return 1 if failed - expected or not cases else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
