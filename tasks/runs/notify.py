"""Tells people outside what happens: Discord, Slack, e-mail, whatever NOTIFY_URLS names."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

logger = logging.getLogger(__name__)

#: Seconds that the end of a download waits for its messages. A service that does not answer must not hold it up.
WAIT = 15.0


class Messenger:
    """Sends messages in threads beside the work. `problems` says, one sentence each, which could not be sent."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._threads: list[threading.Thread] = []
        self.problems: list[str] = []

    def send(self, title: str, body: str) -> None:
        """Send to every one of the addresses, after what was sent before; returns at once."""
        if not self._urls:
            return
        before = self._threads[-1] if self._threads else None
        thread = threading.Thread(target=self._send, args=(title, body, before), name="notify", daemon=True)
        thread.start()
        self._threads.append(thread)

    def wait(self) -> list[str]:
        """Wait until all is sent, or for `WAIT` seconds; returns `problems`."""
        for thread in self._threads:
            thread.join(WAIT)
            if thread.is_alive():
                self.problems.append(f"Its service did not answer within {WAIT:g} s.")
        self._threads.clear()
        return self.problems

    def _send(self, title: str, body: str, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        try:
            import apprise  # here: it takes seconds and 50 MB, which only those who use it pay

            # One by one: the position tells which failed without showing the address, which holds a password.
            for number, url in enumerate(self._urls, 1):
                one = apprise.Apprise()
                if not one.add(url):
                    self.problems.append(f"Number {number} of NOTIFY_URLS is no address that Apprise knows.")
                elif not one.notify(title=title, body=body):
                    self.problems.append(f"Number {number} of NOTIFY_URLS ({url.partition(':')[0]}) was not reached.")
        except Exception as error:  # telling never hurts doing
            logger.warning("A notification failed.", exc_info=True)
            self.problems.append(f"{type(error).__name__}: {error}"[:200])
