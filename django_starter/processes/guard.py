"""Ends the process groups that it was told of as soon as its standard input closes.

The supervisor ends its own children. This small process is for the one case in which it cannot: when it is killed
itself (kill -9, out of memory). The kernel then closes the pipe, and nothing that was started stays behind, no port
stays taken. Standard library only, and no import of the project: it must run whatever state the code is in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

#: Seconds that the services get to end by themselves once the supervisor is dead.
GRACE = 4.0


class Guard:
    """The supervisor's end of the pipe."""

    def __init__(self) -> None:
        # A session of its own: neither Ctrl-C nor the end of the terminal may take it before its work is done.
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, group: int) -> None:
        """From now on `group` (the id of a process group) ends with this process."""
        self._tell(f"+{group}\n")

    def watch_me(self) -> None:
        """`watch` by the group itself: for the moment between fork and exec (`preexec_fn`), when it leads one already.

        Told by its parent, a group would be nobody's whose parent is killed between its start and the telling. The
        group that tells it holds the pipe open until its exec: the guard hears of it before it hears of the end.
        """
        default = signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # a dead guard is no reason to stop here either
        self.watch(os.getpid())
        signal.signal(signal.SIGPIPE, default)

    def forget(self, group: int) -> None:
        """`group` has ended: its number may soon belong to another program."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guard, and with it whatever it still watches."""
        with contextlib.suppress(OSError):
            self._process.communicate()

    def _tell(self, message: str) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError):  # a dead guard is no reason to stop
            os.write(self._process.stdin.fileno(), message.encode())


def running(group: int) -> bool:
    """True while any process of `group` is there."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM of a group that holds only zombies
        return False
    return True


def signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while any(running(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(0.1)
    for group in groups:
        signal_group(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
