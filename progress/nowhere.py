"""A WebSocket address that does not exist: closed, as a task that does not exist is, with one quiet line for many."""

from __future__ import annotations

import logging

from .messages import CloseCode
from .seldom import Seldom
from .types import Receive, Scope, Send

logger = logging.getLogger(__name__)

#: Characters of an address that a log shows.
SHOWN = 100

_seldom = Seldom(30.0)


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """Close the socket with 4404, after it was accepted: a browser sees the code of an accepted one only."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    if times := _seldom.times():
        path = ascii(str(scope.get("path", ""))[:SHOWN])
        logger.info("There is no WebSocket at %s (asked for %s since the last such line).", path, times)
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": CloseCode.NOT_FOUND})
