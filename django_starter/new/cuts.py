"""What a project of somebody's own is without: what is about this starter alone, and what they do not want."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

#: Files and folders that are about the starter: how it is measured, adopted and begun with.
STARTERS = (
    *("benchmarks", "docs/ADOPT.md", "docs/pictures", "docs/screenshots.py", "tests/adopt", "tests/engines"),
    *("tests/celery_suite", "tests/django_suite"),
    *("start_project.sh", "django_starter/new", "tests/unit/test_new_project.py"),
)
#: Of ./run_tests.sh, what tests those.
LANES = ("adopt", "engines", "celery", "django-tasks")
#: Of report downloads. Their tests are `tests/**/test_download*.py`, too.
DOWNLOADS = ("tasks/downloads", "docs/DOWNLOADS.md", "tests/report_source.py", "tests/integration/download_doors.py")
#: Packages that nothing else needs.
DOWNLOADS_NEED = ("httpx", "xlsxwriter")
#: In settings.py and .env.example: from this heading to the next one.
SECTION = re.compile(r"^# --- report downloads -.*?(?=^# --- )", re.MULTILINE | re.DOTALL)
#: A link of a document to a file of the checkout: its words, and the file.
LINK = re.compile(r"\[([^\]]+)\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def remove(root: Path, names: tuple[str, ...]) -> None:
    """Files and folders; each has to be there."""
    for name in names:
        path = root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def change(path: Path, pattern: str | re.Pattern[str], text: str = "", *, flags: int = re.MULTILINE) -> None:
    """Replace what is found once or more. Raises LookupError where it is not there: the starter has changed."""
    found, times = re.subn(pattern, text, path.read_text(), flags=0 if isinstance(pattern, re.Pattern) else flags)
    if not times:
        raise LookupError(f"{path} has no {pattern}")
    path.write_text(found)


def without_starter(root: Path) -> None:
    """What is about the starter goes."""
    remove(root, STARTERS)
    for lane in LANES:
        change(root / "run_tests.sh", rf"^  {lane}\)\n(?:    .*\n|\n)*?    ;;\n")
        change(root / "run_tests.sh", rf"^#   .*run_tests\.sh {lane}\b.*\n(?:#   {{9,}}.*\n)*")
    change(root / "run_tests.sh", r" --ignore tests/(?:adopt|engines)\b")
    change(root / "run_tests.sh", r"^# Sets \$django6 .*\nprepare_django6\(\) \{\n(?:.*\n)*?\}\n\n")
    change(root / "CONTRIBUTING.md", r"^`\./run_tests\.sh adopt`.*\n")
    change(root / "docs" / "EMBEDDING.md", r"^\[ADOPT\.md\]\(ADOPT\.md\) has the steps\. ")


def without_dead_links(root: Path) -> None:
    """Of documents: a link to what is gone leaves its words, a row of a table that links there goes."""
    for path in root.rglob("*.md"):
        lines = []
        for line in path.read_text().splitlines(keepends=True):
            dead = [link for link in LINK.finditer(line) if not (path.parent / link[2]).exists()]
            if dead and line.startswith("|"):
                continue
            for link in dead:
                line = line.replace(link[0], link[1])
            lines.append(line)
        path.write_text("".join(lines))


def without_downloads(root: Path) -> None:
    """The folder, the line of the settings, and what both leave behind: tests, documents, packages."""
    remove(root, DOWNLOADS)
    for path in root.glob("tests/**/test_download*.py"):
        path.unlink()
    settings = root / "django_starter" / "settings.py"
    change(settings, r'^    "tasks\.downloads\..*\n')
    change(settings, r"^    json_object,\n")
    change(settings, SECTION)
    change(root / ".env.example", SECTION)
    change(root / "run_tests.sh", r",test_downloads\.py")
    change(root / "tests" / "matrix.py", r'; a job of the second app\.$|, "downloads"(?=\))')
    for name in DOWNLOADS_NEED:
        for file in ("requirements.in", "requirements.txt", "requirements-dev.txt"):
            change(root / file, rf"(?i)^{name}\b.*\n(?:    .*\n)*")


def without_demos(root: Path) -> None:
    """Start Task does not offer them. Their code stays, as the tests run them; `tests/conftest.py` offers them."""
    change(root / "django_starter" / "settings.py", r'flag\("DEMO_TASKS", True\)', 'flag("DEMO_TASKS", False)')
