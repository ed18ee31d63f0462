"""A source of reports that costs little: an ASGI application without a framework. Each report has ROWS rows.

`uvicorn benchmarks.report_source:app`, asked for /<seller_id>/<day>.csv; GET /count says how many it has answered.
"""

from __future__ import annotations

from typing import Any

ROWS = 50

_HEAD = b"Day,Product Name,Store Name,Brand Name,Venture,Product ID,Units Sold,Revenue,Product/SKU Pageviews\r\n"
_BODY = _HEAD + b"".join(
    b"%%day%%,Lamp Classic %d,Store %%seller%%,Brand %d,Home & Living,SKU-%05d,%d,%d.%02d,%d\r\n"
    % (number, number % 7, number, number * 7 % 23, number * 31, number, number * 53 % 997)
    for number in range(ROWS)
)
_answered = 0


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once."""
    global _answered
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/count":
        body = b"%d" % _answered
    else:
        _, seller, day = scope["path"].encode().split(b"/")
        body = _BODY.replace(b"%day%", day.removesuffix(b".csv")).replace(b"%seller%", seller)
        _answered += 1
    headers = [(b"content-type", b"text/csv"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
