"""Builds the wheel of `progress` and `tasks`; with NAMESPACED=1 in the environment both are below one name.

For a project whose own app is called `tasks`, or which has PyPI's `progress`: the import names are then
`django_starter_tasks.progress` and `.tasks`, the apps' labels `django_starter_progress` and `django_starter_tasks`,
and so are tables, templates and static files. Nothing else differs: each path that the packages write of themselves is
rewritten.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
NAMESPACE = "django_starter_tasks"
LABELS = {"tasks": NAMESPACE, "progress": "django_starter_progress"}
#: Not of the wheel, as in pyproject.toml.
LEFT = shutil.ignore_patterns("downloads", "__pycache__", "*.pyc")
IMPORTS = (
    (re.compile(r"^(\s*)from (tasks|progress)\b", re.MULTILINE), rf"\1from {NAMESPACE}.\2"),
    (re.compile(r"^(\s*)import (tasks|progress)(?:\.models)?$", re.MULTILINE), rf"\1from {NAMESPACE} import \2"),
)


def write(root: Path, into: Path) -> Path:
    """Both packages of the checkout, rewritten; returns the folder of the namespace."""
    found = into / NAMESPACE
    found.mkdir(parents=True)
    (found / "__init__.py").write_text('"""`progress` and `tasks` for projects in which these names are taken."""\n')
    for package in LABELS:
        shutil.copytree(root / package, found / package, ignore=LEFT)
        modules = "|".join(
            sorted({path.stem for path in (root / package).iterdir()} - {"__init__", "__pycache__", "py"})
        )
        own = re.compile(rf"(?<![\w./]){package}\.(?=(?:{modules})\b)")
        for path in (found / package).rglob("*.py"):
            path.write_text(rewritten(path, path.read_text(), package))
        for path in found.rglob("*.py"):
            path.write_text(in_strings(path.read_text(), own, f"{NAMESPACE}.{package}."))
    templates = found / "tasks" / "templates"
    shutil.copytree(root / "templates" / "tasks", templates / NAMESPACE)
    shutil.copy(root / "templates" / "base.html", templates)
    (found / "tasks" / "static" / "tasks").rename(found / "tasks" / "static" / NAMESPACE)
    for path in templates.rglob("*.html"):
        path.write_text(re.sub(r"""(["'])tasks/(?=[\w-]+\.)""", rf"\1{NAMESPACE}/", path.read_text()))
    return found


def rewritten(path: Path, text: str, package: str) -> str:
    """Imports, the app's name and label, the label in migrations, the names of templates."""
    for pattern, by in IMPORTS:
        text = pattern.sub(by, text)
    if path.name == "apps.py":
        lines = f'name = "{NAMESPACE}.{package}"\n    label = "{LABELS[package]}"\n'
        text = text.replace(f'name = "{package}"\n', lines)
    if path.parent.name == "migrations":
        text = re.sub(rf'(get_model\(|\()"{package}"(?=, ")', rf'\1"{LABELS[package]}"', text)
        text = re.sub(rf'"{package}\.(?=[a-z]+")', f'"{LABELS[package]}.', text)  # of a relation: to="tasks.taskrun"
    return re.sub(r"""(["'])tasks/(?=\w+\.html)""", rf"\1{NAMESPACE}/", text)


def in_strings(text: str, own: re.Pattern[str], by: str) -> str:
    """The same text with each path of a module of ours, where a string has one, below the namespace."""
    lines = text.splitlines(keepends=True)
    numbers: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and own.search(node.value):
            numbers.update(range(node.lineno - 1, node.end_lineno or node.lineno))
    for number in numbers:
        lines[number] = own.sub(by, lines[number])
    return "".join(lines)


class Namespaced(BuildHookInterface[Any]):
    """Puts the rewritten packages in the place of the others, where the environment asks for it."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or os.environ.get("NAMESPACED", "0") in ("", "0"):
            return
        self._folder = tempfile.mkdtemp()
        config = self.build_config.target_config
        config.pop("packages")
        config.pop("force-include")
        config["bypass-selection"] = True
        build_data["force_include"] = {str(write(ROOT, Path(self._folder))): NAMESPACE}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if folder := getattr(self, "_folder", None):
            shutil.rmtree(folder, ignore_errors=True)
