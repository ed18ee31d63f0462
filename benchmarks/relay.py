"""The peer of the live benchmarks: a bare relay from one Redis channel to every WebSocket, and nothing else.

No sessions, no snapshot, no order, no last word: the least that can be done.
`python -m benchmarks.relay URL CHANNEL PORT`
"""

from __future__ import annotations

import asyncio
import sys

import redis.asyncio
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def main(url: str, channel: str, port: int) -> None:
    """Serve until the process is ended."""
    sockets: set[ServerConnection] = set()

    async def watch(socket: ServerConnection) -> None:
        sockets.add(socket)
        try:
            await socket.wait_closed()
        finally:
            sockets.discard(socket)

    async with serve(watch, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096):
        pubsub = redis.asyncio.Redis.from_url(url, socket_timeout=None).pubsub()
        await pubsub.subscribe(channel)
        async for message in pubsub.listen():
            if message["type"] == "message":
                broadcast(sockets, message["data"].decode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
