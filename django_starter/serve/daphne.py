"""`python -m django_starter.serve.daphne`: Daphne's own command line, whose limit of a message holds for what comes in.

Autobahn, which speaks WebSocket for Daphne, applies it to what is sent as well: a snapshot with a long log was refused.
And a socket that has gone is not left in a circle of objects, nor is the request that it began as: the garbage
collector let a thousand of them lie, and memory stayed as large as with them.
"""

from __future__ import annotations

from daphne import http_protocol
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

    def connectionLost(self, reason: object) -> None:
        super().connectionLost(reason)
        self.is_closed = None  # its result is this protocol


class Request(http_protocol.WebRequest):
    """Daphne's, which leaves its channel once it has become a socket."""

    def process(self) -> object:
        done: object = super().process()
        if self.transport is None and self in self.channel.requests:
            self.channel.requests.remove(self)
        return done


http_protocol.WebRequest = Request
WebSocketFactory.protocol = Protocol

if __name__ == "__main__":
    CommandLineInterface.entrypoint()
