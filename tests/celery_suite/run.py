"""Run Celery's integration suite from a checkout on this project: its own tests, on our task class, backend and worker.

    python -m tests.celery_suite.run CHECKOUT [arguments of pytest]

Environment: WORKER=process (a worker process instead of a thread), CAP (seconds a test may take, 40), DATABASE_URL.
Ends with 1 if a test fails that is not named in `differences.txt`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

from django_starter.processes.ports import free_port
from django_starter.processes.valkey import valkey_command

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FILES = [f"t/integration/test_{name}.py" for name in ("canvas", "tasks", "inspect", "loader", "worker", "security")]
#: What the suite's tasks need beyond this project.
NEEDS = ("pydantic>=2,<3", "cryptography")
MARKS = (
    "sleepdeprived_patched_module",
    "masked_modules",
    "patched_environ",
    "patched_module",
    "flaky",
    "timeout",
    "amqp",
)


def main(checkout: Path, arguments: list[str]) -> int:
    """0 if every test passes, but for those that are named."""
    if not (checkout / "t" / "integration").is_dir():
        raise SystemExit(f"{checkout} is no checkout of celery/celery: it has no t/integration.")
    home = Path(tempfile.mkdtemp(prefix="celery-suite-"))
    try:
        return run_in(home, checkout, arguments)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def run_in(home: Path, checkout: Path, arguments: list[str]) -> int:
    """The run, in a scratch folder."""
    shutil.copytree(checkout / "t", home / "t")
    shutil.copy(HERE / "suite_conftest.py", home / "conftest.py")
    shutil.copy(HERE / "suite_app.py", home / "suite_app.py")
    marks = "\n".join(f"    {mark}" for mark in MARKS)
    (home / "pytest.ini").write_text(f"[pytest]\npython_classes = test_*\nmarkers =\n{marks}\n")
    packages, commands, redis = home / "packages", home / "bin", home / "redis"
    for folder in (commands, redis, home / "dev"):
        folder.mkdir()
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(packages), *NEEDS], check=True)
    (commands / "celery").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m celery "$@"\n')
    (commands / "celery").chmod(0o755)
    port = free_port()
    env = {
        **os.environ,
        "DEV_DIR": str(home / "dev"),
        "ENV_FILE": os.devnull,
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(port),
        "TEST_BROKER": f"redis://127.0.0.1:{port}/0",
        "TEST_BACKEND": "redis-is-not-asked-but-the-rows",
        "WORKER_LOG": str(home / "worker.log"),
        "DJANGO_SETTINGS_MODULE": "django_starter.settings",
        "WORKER_LOGLEVEL": "INFO",
        "PYTHONPATH": os.pathsep.join(map(str, (home, ROOT, packages))),
        "PATH": os.pathsep.join((str(commands), os.environ["PATH"])),
    }
    with (home / "redis.log").open("w") as log:
        server = subprocess.Popen(valkey_command(redis, port), cwd=redis, stdout=log, stderr=log)
    try:
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=env, check=True)
        plugins = ["-p", "no:django", "-p", "no:asyncio", "-p", "no:xdist", "-p", "celery.contrib.pytest"]
        report = home / "report.xml"
        command = [sys.executable, "-m", "pytest", *plugins, "-p", "no:cacheprovider", "-q", "--tb=short"]
        command += [f"--junitxml={report}", "-o", "junit_logging=no", *(arguments or FILES)]
        subprocess.run(command, cwd=home, env=env, check=False)
        return judge(report)
    finally:
        server.terminate()
        server.wait(10)


def judge(report: Path) -> int:
    """Say the figures, and which failures are not named."""
    named = differences()
    counts: dict[str, list[int]] = {}
    unnamed = []
    for case in xml.parse(report).iter("testcase"):
        module = str(case.get("classname")).split(".")[2]
        name = f"{module}::{case.get('name')}"
        failed = case.find("failure") is not None or case.find("error") is not None
        if case.find("skipped") is not None:
            continue
        good, all_of_them = counts.setdefault(module, [0, 0])
        counts[module] = [good + (not failed), all_of_them + 1]
        if failed and name not in named:
            unnamed.append(name)
        elif failed:
            print(f"differs, as named: {name}: {named[name]}")
    for module, (good, all_of_them) in counts.items():
        print(f"{module}: {good} of {all_of_them}")
    for name in unnamed:
        print(f"FAILED {name}")
    return 1 if unnamed or not counts else 0


def differences() -> dict[str, str]:
    """The tests that may fail, each with its reason."""
    lines = (HERE / "differences.txt").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
