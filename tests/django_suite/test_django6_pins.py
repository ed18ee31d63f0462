"""What `./run_tests.sh` installs for Django 6, where all else is pinned with hashes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
#: Keeps what it is asked to install; makes a copy of itself as the Python of a virtual environment.
PYTHON = """#!/usr/bin/env bash
case "$*" in
  *"-m venv"*) mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python" ;;
  *"-m pip install"*) cat "${@: -1}" >>asked ;;
esac
"""


@pytest.fixture
def prepare(tmp_path):
    """Runs the script's own function in an empty folder, with a Python that installs nothing; returns what it asked."""
    script = (ROOT / "run_tests.sh").read_text()
    function = re.search(r"^prepare_django6\(\) {\n.*?^}\n", script, re.MULTILINE | re.DOTALL)
    assert function
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    (tmp_path / "requirements-dev.txt").write_text((ROOT / "requirements-dev.txt").read_text())
    venv = ROOT / "django_starter" / "processes" / "venv.sh"
    code = f"set -euo pipefail\n. '{venv}'\n{function[0]}\nprepare_django6\n"

    def call() -> str:
        env = {**os.environ, "DJANGO6_PYTHON": "./python"}
        done = subprocess.run(["bash", "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        return (tmp_path / "asked").read_text()

    return call


def test_each_line_is_a_requirement_and_only_django_is_another_one(prepare):
    asked = [line for line in prepare().splitlines() if not line.startswith("#")]
    found = [Requirement(line) for line in asked]  # one with a hash, or half of one, is none
    pins = re.findall(r"^([\w.-]+==[^ ]+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    expected = {"django" if pin.startswith("django==") else pin for pin in pins}
    assert {one.name if one.name == "django" else f"{one.name}{one.specifier}" for one in found} == expected
    assert [str(one.specifier) for one in found if one.name == "django"] == ["<7,>=6.0"]


def test_nothing_is_installed_again_while_the_pins_stay(prepare, tmp_path):
    asked = prepare()
    assert prepare() == asked
    pins = tmp_path / "requirements-dev.txt"
    pins.write_text(pins.read_text() + "one-more==1.0\n")
    assert prepare() == 2 * asked + "one-more==1.0\n"
