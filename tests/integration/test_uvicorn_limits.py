"""uvicorn as this project starts it: what is too large or never ends is refused, as Daphne does it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import uvicorn

from django_starter.serve import uvicorn as module
from django_starter.serve.web import web_command

pytestmark = pytest.mark.slow

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
UPGRADE = f"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{KEY}"
OLD = UPGRADE.replace("13", "7")


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads all of a body and says how long it was; accepts every socket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body") or b"")
        more = message.get("more_body", False)
    said = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture
async def port(monkeypatch) -> AsyncIterator[int]:
    """That of a server whose patience is half a second."""
    monkeypatch.setattr(module, "HEAD_TIMEOUT", 0.5)
    monkeypatch.setattr(module, "BODY_TIMEOUT", 0.5)
    config = uvicorn.Config(application, http=module.Http, ws=module.Socket, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    plug = socket.socket()
    plug.bind(("127.0.0.1", 0))
    serving = asyncio.create_task(server._serve([plug]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield int(plug.getsockname()[1])
    server.should_exit = server.force_exit = True
    await serving
    plug.close()


async def answer(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """All that the server says until it hangs up, or until it has answered whole and nothing is left to send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def write() -> None:
        with contextlib.suppress(OSError):
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(pause)

    writing = asyncio.ensure_future(write())
    said = b""
    try:
        async with asyncio.timeout(10):
            with contextlib.suppress(OSError):
                while more := await reader.read(65_536):
                    said += more
    finally:
        writing.cancel()
        writer.close()
    return said


def drip(text: bytes) -> Iterator[bytes]:
    return (bytes([byte]) for byte in text)


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
ENDLESS: dict[str, tuple[list[bytes], bytes]] = {
    "a socket with a cookie of 9 kB": ([f"GET / HTTP/1.1\r\n{UPGRADE}Cookie: {'x' * 9_000}\r\n\r\n".encode()], b"431"),
    "a socket with many headers": (
        [f"GET / HTTP/1.1\r\n{UPGRADE}{''.join(f'a{n}: b{chr(13)}{chr(10)}' for n in range(200))}\r\n".encode()],
        b"431",
    ),
    "a socket with a long address": ([f"GET /{'x' * 9_000} HTTP/1.1\r\n{UPGRADE}\r\n".encode()], b"431"),
    "a socket of another version": ([f"GET / HTTP/1.1\r\n{OLD}\r\n".encode()], b"4"),
    "headers of 20 kB": ([HEAD + b"Cookie: " + b"x" * 20_000 + b"\r\n\r\n"], b"431"),
    "many headers of 20 kB": ([HEAD + b"a: b\r\n" * 4_000 + b"\r\n"], b"431"),
    "a header without end": ([HEAD + b"Cookie: ", *[b"x" * 4_096] * 50], b"431"),
    "half a handshake": ([f"GET / HTTP/1.1\r\n{UPGRADE}".encode()], b"408"),
    "nothing at all": ([], b"408"),
    "a drip": ([*drip(HEAD * 20)], b"408"),
    "half a body": ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"], b""),
    "a body that drips": ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", *drip(b"x" * 900)], b""),
    "empty lines after a request": ([HEAD + b"\r\n", *[b"\r\n"] * 500], b"200"),
    "no HTTP": ([b"\x16\x03\x01 hello\r\n\r\n"], b"400"),
}


@pytest.mark.parametrize(("parts", "status"), ENDLESS.values(), ids=ENDLESS)
async def test_what_is_too_large_or_never_ends_is_hung_up_on(port, parts, status):
    said = await answer(port, *parts, pause=0.02)  # times out where the server keeps the connection
    assert said.split(b" ")[1].startswith(status) if status else b"200" not in said


async def test_what_is_allowed_goes_on(port):
    body = b"x" * 100_000
    head = b"POST / HTTP/1.1\r\nHost: x\r\nCookie: " + b"c" * 12_000 + b"\r\nContent-Length: 100000\r\n"
    said = await answer(port, head + b"Connection: close\r\n\r\n" + body)
    assert said.endswith(b"100000")
    twice = HEAD + b"\r\n"
    said = await answer(port, twice, twice, twice + b"", HEAD + b"Connection: close\r\n\r\n", pause=0.2)
    assert said.count(b"200 OK") == 4


async def test_a_socket_outlives_the_time_for_its_handshake(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET / HTTP/1.1\r\n{UPGRADE}Cookie: {'x' * 7_000}\r\n\r\n".encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(reader.read(1), 1.5)
    writer.close()


def test_it_is_what_the_services_start():
    command = web_command("uvicorn", "127.0.0.1", 8001)
    assert "django_starter.serve.uvicorn" in command
    module.limit()
    config = uvicorn.Config(application)
    config.load()
    assert (config.http_protocol_class, config.ws_protocol_class) == (module.Http, module.Socket)
