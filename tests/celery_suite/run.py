"""Run Celery's integration suite from a checkout on this project: its own tests, on our task class, backend and worker.

    python -m tests.celery_suite.run CHECKOUT [arguments of pytest]

Environment: WORKER=process (a worker process instead of a thread), CAP (seconds a test may take, 60), DATABASE_URL,
STOCK=1 (on Celery alone with Redis, to compare), KEEP (a folder for the reports and the worker's log).
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
#: On Celery alone.
STOCK = os.environ.get("STOCK") == "1"
#: Our result backend: half of the suite's canvas tests are skipped for one whose name does not begin with "redis".
BACKEND = "redis_is_not_asked:RunBackend"
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
    files = [one for one in arguments if ".py" in one]
    options = [one for one in arguments if ".py" not in one]
    shutil.copytree(checkout / "t", home / "t")
    write_apps(home)
    marks = "\n".join(f"    {mark}" for mark in MARKS)
    (home / "pytest.ini").write_text(f"[pytest]\npython_classes = test_*\nmarkers =\n{marks}\n")
    packages, commands, redis = home / "packages", home / "bin", home / "redis"
    for folder in (commands, redis, home / "dev"):
        folder.mkdir()
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(packages), *NEEDS], check=True)
    (commands / "celery").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m celery "$@"\n')
    (commands / "celery").chmod(0o755)
    port = free_port()
    env = environment(home, port)
    with (home / "redis.log").open("w") as log:
        server = subprocess.Popen(valkey_command(redis, port), cwd=redis, stdout=log, stderr=log)
    try:
        if not STOCK:
            subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=env, check=True)
        reports = [run_file(home, env, one, options) for one in files or FILES]
        return judge(reports)
    finally:
        server.terminate()
        server.wait(10)
        if keep := os.environ.get("KEEP"):
            Path(keep).mkdir(parents=True, exist_ok=True)
            for file in (*home.glob("report-*"), *home.glob("*.log")):
                shutil.copy(file, keep)


def write_apps(home: Path) -> None:
    """What makes the suite's apps ours, or leaves them Celery's own."""
    shutil.copy(HERE / "suite_conftest.py", home / "conftest.py")
    shutil.copy(HERE / ("stock_app.py" if STOCK else "suite_app.py"), home / "suite_app.py")
    module, _, name = BACKEND.partition(":")
    (home / f"{module}.py").write_text(f"from tasks.celery.results import {name}\n")


def environment(home: Path, port: int) -> dict[str, str]:
    """Of the tests and of a worker process, with Redis at `port`."""
    env = {
        **os.environ,
        "DEV_DIR": str(home / "dev"),
        "ENV_FILE": os.devnull,
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(port),
        "TEST_BROKER": f"redis://127.0.0.1:{port}/0",
        "TEST_BACKEND": BACKEND,
        "WORKER_LOG": str(home / "worker.log"),
        "DJANGO_SETTINGS_MODULE": "django_starter.settings",
        "WORKER_LOGLEVEL": "INFO",
        "PYTHONPATH": os.pathsep.join(map(str, (home, ROOT, home / "packages"))),
        "PATH": os.pathsep.join((str(home / "bin"), os.environ["PATH"])),
    }
    if STOCK:
        env["TEST_BACKEND"] = env["TEST_BROKER"]
        env.pop("DJANGO_SETTINGS_MODULE")
    return env


def run_file(home: Path, env: dict[str, str], name: str, options: list[str]) -> Path:
    """The tests of one file, in a process of its own: those of test_worker.py leave theirs as a worker leaves it."""
    report = home / f"report-{len(list(home.glob('report-*')))}.xml"
    command = [sys.executable, "-m", "pytest", "-p", "celery.contrib.pytest", "-p", "no:cacheprovider"]
    command += [part for plugin in ("django", "asyncio", "xdist") for part in ("-p", f"no:{plugin}")]
    command += ["-q", "--tb=short", f"--junitxml={report}", "-o", "junit_logging=no", name, *options]
    subprocess.run(command, cwd=home, env=env, check=False)
    return report


def judge(reports: list[Path]) -> int:
    """Say the figures, and which failures are not named."""
    named = differences()
    counts: dict[str, list[int]] = {}
    unnamed = []
    for case in (case for report in reports for case in xml.parse(report).iter("testcase")):
        where = (case.get("classname") or "").split(".")
        module = where[2] if len(where) > 2 else "pytest itself"  # which broke off
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
    found = dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))
    in_process = {name.removeprefix("process "): why for name, why in found.items() if name.startswith("process ")}
    return {**found, **(in_process if os.environ.get("WORKER") == "process" else {})}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
