"""`./start_project.sh`: what a new project is made of. `test_start_project.py` runs its tests."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from django_starter.environment import read_file
from django_starter.new.project import Wanted, create

#: A name that sorts before everything, and one that breaks lines.
WHOLE, CUT = "ashop", "zebra_of_a_long_name"


@pytest.fixture(scope="module", params=[WHOLE, CUT])
def project(request, tmp_path_factory) -> Path:
    """With everything, and without all that can be left out; this checkout has data, keys and a history."""
    folder = tmp_path_factory.mktemp("new") / request.param
    with_all = request.param == WHOLE
    create(Wanted(request.param, folder, downloads=with_all, demos=with_all))
    return folder


def texts(project: Path) -> dict[str, str]:
    found = {}
    for path in project.rglob("*"):
        if path.is_file() and path.name != "LICENSE":
            found[str(path.relative_to(project))] = path.read_text()
    return found


def test_nothing_has_the_old_name_and_nothing_of_this_checkout_came_along(project):
    old = re.compile(r"django[_-]starter|DjangoStarter")
    assert {name for name, text in texts(project).items() if old.search(text) or old.search(name)} == set()
    names = {path.name for path in project.rglob("*")}
    assert not names & {".git", ".venv", ".dev", "__pycache__", ".ruff_cache", ".mypy_cache", "start_project.sh"}
    assert (project / project.name / "settings.py").exists()
    assert (project / "README.md").read_text().startswith(f"# {project.name}\n")


def test_it_has_a_key_of_its_own_that_others_cannot_read(project, tmp_path):
    key = read_file(project / ".env")["SECRET_KEY"]
    assert len(key) >= 50
    assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
    create(Wanted("another", tmp_path / "another"))
    assert read_file(tmp_path / "another" / ".env")["SECRET_KEY"] != key


def test_every_file_that_a_document_links_to_exists(project):
    found = 0
    for path in project.rglob("*.md"):
        for link in re.findall(r"\]\(([^)#:\s]+)[)#]", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"
            found += 1
    assert found > 30


#: What is asked of it once it is migrated.
ASK = """
import django; django.setup()
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
settings.ALLOWED_HOSTS = ["testserver"]
User = get_user_model()
User.objects.create_superuser("alice", password="a long enough one")
assert User._meta.label == "accounts.User" and "auth_user" not in connection.introspection.table_names()
page = Client().get("/").content.decode()
alice = Client()
alice.force_login(User.objects.get())
assert alice.get("/admin/accounts/user/").status_code == 200
answer = Client().post("/tasks/start/", "{}", "application/json")
print(answer.status_code, "Start Task" in page, "Download reports" in page)
"""


def test_its_database_is_made_with_its_own_users_and_its_pages_answer(project, tmp_path):
    env = {**os.environ, "DEV_DIR": str(tmp_path / "dev"), "DJANGO_SETTINGS_MODULE": f"{project.name}.settings"}
    env.pop("DEMO_TASKS", None)

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-B", *command], cwd=project, env=env, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("manage.py", "migrate")
    run("manage.py", "check")
    run("manage.py", "makemigrations", "--check", "--dry-run")
    # "400": there is nothing to start, which is no broken server.
    assert run("-c", ASK).strip() == ("202 True True" if project.name == WHOLE else "400 False False")
    # A field of one's own, later, in a database that is in use.
    models = project / project.name / "accounts" / "models.py"
    kept = models.read_text()
    more = '\n    nickname = models.CharField(max_length=50, default="")\n'
    models.write_text(kept.replace("from django.contrib", "from django.db import models\nfrom django.contrib") + more)
    run("manage.py", "makemigrations", "accounts", "-n", "nickname")
    run("manage.py", "migrate")
    models.write_text(kept)
    (project / project.name / "accounts" / "migrations" / "0002_nickname.py").unlink()


def test_its_scripts_are_scripts(project):
    for script in project.glob("*.sh"):
        assert os.access(script, os.X_OK)
        subprocess.run([shutil.which("bash") or "bash", "-n", str(script)], check=True)
    text = (project / "run_tests.sh").read_text()
    told = {*re.findall(r"^#   .*\./run_tests\.sh ([a-z][\w-]*) ", text, re.MULTILINE)}
    assert told == {"quick", "faults", "hosts", "matrix", "rabbitmq"}, text
    assert {*re.findall(r"^  ([a-z][\w-]*)\)$", text, re.MULTILINE)} == told
    for name in re.findall(r"\btests[/.][\w/.]*\w", text):
        assert list(project.glob(f"{name}*")) or list(project.glob(f"{name.replace('.', '/')}*")), name
