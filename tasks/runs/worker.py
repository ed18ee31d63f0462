"""The name under which a worker claims, and what the sweep asks of the worker it lives in."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Protocol

_identity = ""


def identity() -> str:
    """The name under which this worker claims: new with each start, so that a restarted worker is another one."""
    return _identity or take_identity(socket.gethostname())


def take_identity(hostname: str) -> str:
    """Make the name, in the worker's parent process before it forks: its pool processes claim under it as well."""
    global _identity
    _identity = f"{hostname}:{os.getpid()}:{secrets.token_hex(3)}"
    return _identity


class Pool(Protocol):
    """The worker's processes or threads, as its engine sees them."""

    def active(self) -> set[str]:
        """Ids of the runs that are worked on."""

    def reserved(self) -> set[str]:
        """Ids of the runs whose messages this worker holds, worked on or not."""

    def is_ending(self) -> bool:
        """True from the moment at which the worker was told to end."""

    def can_kill(self) -> bool:
        """True if a single run can be ended by force."""

    def kill(self, task_id: str) -> None:
        """End a run by force."""
