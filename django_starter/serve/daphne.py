"""`python -m django_starter.serve.daphne`: Daphne's own command line, whose limit of a message holds for what comes in.

Autobahn, which speaks WebSocket for Daphne, applies it to what is sent as well: a snapshot with a long log was refused.
"""

from __future__ import annotations

from daphne.cli import CommandLineInterface
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol


class Protocol(WebSocketProtocol):
    """Daphne's, sending messages of any size."""

    maxMessagePayloadSize: int

    def sendMessage(self, *args: object, **kwargs: object) -> None:
        limit: int = self.maxMessagePayloadSize
        self.maxMessagePayloadSize = 0
        try:
            super().sendMessage(*args, **kwargs)
        finally:
            self.maxMessagePayloadSize = limit


WebSocketFactory.protocol = Protocol

if __name__ == "__main__":
    CommandLineInterface.entrypoint()
