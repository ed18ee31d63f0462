"""Where the sockets are, below the path at which a site is served."""

from __future__ import annotations

from django.urls import get_script_prefix

from .messages import SOCKETS


def sockets_path(task_id: str = "") -> str:
    """The list socket's path as a browser asks for it, with `task_id` that of one task's socket."""
    return get_script_prefix().rstrip("/") + SOCKETS + (f"{task_id}/" if task_id else "")
