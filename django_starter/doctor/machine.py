"""This machine: its Python, the packages, the settings, the disk."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from django.conf import settings
from django.core.checks import ERROR, WARNING, run_checks
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from django_starter.environment import BASE_DIR, DEV_DIR
from django_starter.health import LEAST_DISK

from .context import Context
from .finding import Finding, failed, ok, warning

#: The oldest and the newest Python that the pinned packages are tested with.
OLDEST, NEWEST = (3, 11), (3, 13)
#: Packages or messages that are named in one line.
NAMED = 3


def python(_: Context) -> Finding:
    """The Python that runs this, and so the services beside it."""
    version = platform.python_version()
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return warning(
            f"{version} is none of those that the packages are tested with (3.11 to 3.13).",
            f"rm -rf .venv && {settings.TASKS_START_ALL}  # makes .venv with one of these, where one is installed",
        )
    return ok(version)


def packages(_: Context) -> Finding:
    """What is installed against what requirements.in allows, and what requirements.txt pins."""
    allowed = {canonicalize_name(one.name): one.specifier for one in _requirements(BASE_DIR / "requirements.in")}
    pinned = list(_requirements(BASE_DIR / "requirements.txt"))
    wrong: list[str] = []
    other: list[str] = []
    for pin in pinned:
        try:
            version = metadata.version(pin.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{pin.name} is missing")
            continue
        if not pin.specifier.contains(version, prereleases=True):
            asked = allowed.get(canonicalize_name(pin.name))
            fits = asked is None or asked.contains(version, prereleases=True)
            (other if fits else wrong).append(f"{pin.name} is {version}, not {str(pin.specifier).lstrip('=')}")
    if wrong:
        return failed(_first(wrong), install())
    if other:
        return warning(_first(other), install())
    return ok(f"{len(pinned)} as requirements.txt pins them")


def _requirements(path: Path) -> Iterator[Requirement]:
    """Those lines of the file that are meant for this machine."""
    for line in path.read_text().replace("\\\n", " ").splitlines():
        if text := line.partition("#")[0].partition(" --hash")[0].strip():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


def install() -> str:
    """The line that puts the pinned packages where this Python looks for them."""
    return f"{near(sys.executable)} -m pip install -r requirements.txt"


def near(path: str | Path) -> str:
    """`path` as it is written in the checkout, where it is inside."""
    return str(Path(path).relative_to(BASE_DIR)) if Path(path).is_relative_to(BASE_DIR) else str(path)


def check_settings(_: Context) -> Finding:
    """Django's system checks; on a site that others reach, those for deployment as well."""
    found = [one for one in run_checks(include_deployment_checks=settings.PRODUCTION) if not one.is_silenced()]
    grave = [one for one in found if one.level >= (ERROR if any(one.level >= ERROR for one in found) else WARNING)]
    if grave:
        kind = failed if grave[0].level >= ERROR else warning
        return kind(_first([f"{one.msg} ({one.id})" for one in grave]), grave[0].hint or "python manage.py check")
    reach = f"for {', '.join(settings.ALLOWED_HOSTS)}" if settings.PRODUCTION else "for this machine alone"
    return ok(f"{reach}, DEBUG is {'on' if settings.DEBUG else 'off'}")


def disk(_: Context) -> Finding:
    """Room for the database and the append-only file."""
    free = shutil.disk_usage(DEV_DIR).free
    if free < LEAST_DISK:
        return failed(f"Only {free // 1024**2} MB are free.", f"du -xh {near(DEV_DIR)} | sort -h | tail")
    return ok(f"{free / 1024**3:.1f} GB free")


def _first(texts: list[str]) -> str:
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return "; ".join(texts[:NAMED]) + more
