"""Everything that this package raises of its own. Standard library only."""

from __future__ import annotations

import inspect


class ProgressException(BaseException):
    """Something is wrong with the progress of a task."""

    def __init__(self, message: str | None = None) -> None:
        """`message` says what happened; by default it is the first paragraph of the class's docstring."""
        super().__init__(message or " ".join((inspect.getdoc(type(self)) or "").split("\n\n")[0].split()))


class Cancelled(ProgressException):
    """The task was cancelled.

    The next progress call raises this in the task that was asked to stop; let it pass. It is no `Exception`, as in
    asyncio: `except Exception` around one bad row must not swallow it.
    """


class FrameError(ProgressException, ValueError):
    """The frame is refused.

    `code` is the one of the `Error` frame that answers it.
    """

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class NothingToWatch(ProgressException, Exception):
    """There is no such task, or it is not yours.

    Also raised where the server does not admit this viewer at all; the message says which.
    """
