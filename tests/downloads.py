"""Whether this site has report downloads: without them no tests of them, and no rows of theirs in other tests."""

from __future__ import annotations

from typing import TypeVar

from django.apps import apps

T = TypeVar("T")

DOWNLOADS = apps.is_installed("tasks.downloads")


def of_downloads(*rows: T) -> tuple[T, ...]:
    """The rows, where the site has downloads."""
    return rows if DOWNLOADS else ()
