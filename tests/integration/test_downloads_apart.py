"""Downloads are an app of their own: an old database becomes theirs, and one folder and one line take them away."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from tasks.downloads.models import Sales

ROOT = Path(__file__).resolve().parents[2]
LINE = '    "tasks.downloads.apps.DownloadsConfig",\n'


@pytest.mark.django_db(transaction=True)
def test_a_database_in_which_tasks_made_the_tables_keeps_rows_and_rights():
    Sales.objects.create(seller_id="S1", day=date(2026, 1, 1), product_id="P", units=3, revenue="9.5")
    alice = get_user_model().objects.create_user("alice")
    kind, _ = ContentType.objects.get_or_create(app_label="downloads", model="sales")
    right, _ = Permission.objects.get_or_create(content_type=kind, codename="view_sales", defaults={"name": "-"})
    alice.user_permissions.add(right)
    # As it was: the tables, the same, were noted as a migration of `tasks`.
    noted = MigrationRecorder(connection).migration_qs
    noted.filter(app="downloads").delete()
    noted.filter(app="tasks", name="0002_one_while_active").update(name="0002_report_downloads")
    ContentType.objects.filter(app_label="downloads").update(app_label="tasks")
    ContentType.objects.clear_cache()

    call_command("migrate", verbosity=0)

    assert Sales.objects.get().units == 3
    assert get_user_model().objects.get().has_perm("downloads.view_sales")
    assert not ContentType.objects.filter(app_label="tasks", model="sales").exists()
    assert set(noted.filter(app="downloads").values_list("name", flat=True)) == {"0001_initial"}
    call_command("migrate", "--check", verbosity=0)


def test_no_migration_of_tasks_knows_them():
    for path in (ROOT / "tasks" / "migrations").glob("*.py"):
        text = re.sub(r"^ +replaces = .*\n", "", path.read_text(), flags=re.MULTILINE)
        code = "\n".join(line.partition("#")[0] for line in text.splitlines()).lower()
        assert not re.search("download|sales|traffic|report", code), path


#: What a person looks at afterwards; a path, and its status.
LOOK = """
import django; django.setup()
from django.conf import settings
from django.db import connection
from django.test import Client
settings.ALLOWED_HOSTS = ["testserver"]
for path, status in {"/": 200, "/login/": 200, "/downloads/": 404}.items():
    answer = Client().get(path)
    assert answer.status_code == status, (path, answer.status_code)
    assert b"Download" not in answer.content, path
print("tables", sorted(name for name in connection.introspection.table_names() if "sales" in name))
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", [False, True], ids=["fresh database", "a database that has them"])
def test_one_folder_and_one_line_take_them_away(before, tmp_path):
    site = tmp_path / "site"
    for name in ("django_starter", "progress", "tasks", "templates"):
        shutil.copytree(ROOT / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", site)
    env = {**os.environ, "DEV_DIR": str(tmp_path / "dev"), "DJANGO_SETTINGS_MODULE": "django_starter.settings"}

    def run(*command: str) -> str:
        done = subprocess.run([sys.executable, *command], cwd=site, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    if before:
        run("manage.py", "migrate")
    shutil.rmtree(site / "tasks" / "downloads")
    settings = site / "django_starter" / "settings.py"
    assert settings.read_text().count(LINE) == 1
    settings.write_text(settings.read_text().replace(LINE, ""))

    run("manage.py", "migrate")
    run("manage.py", "check")
    run("manage.py", "makemigrations", "--check", "--dry-run")
    tables = ["tasks_sales"] if before else []
    assert f"tables {tables}" in run("-c", LOOK)
