"""What goes wrong with checkpoints, and the end of an attempt that stops at one."""

from __future__ import annotations

from tasks.runs.engine import RunError


class CheckpointError(RunError, ValueError, TypeError):
    """A checkpoint that cannot be stored; the message says why."""


class NotResumable(RunError, ValueError, TypeError):
    """A source that cannot go on where it was; the message says why, and what can."""


class Stopped(BaseException):
    """The worker is ending, and the task has come to a checkpoint: the run is given back, nothing is lost.

    A BaseException, like `progress.Cancelled`: `except Exception` around one bad item must not swallow it.
    """
