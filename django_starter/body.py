"""A bound on the body of a request, whatever it says of its length. Django's own bound reads first and counts then."""

from __future__ import annotations

from progress.types import Application, Event, Receive, Scope, Send

#: Digits of a length that may be one: Python makes no number of thousands of them.
MOST_DIGITS = 18


def limit_body(application: Application, most: int) -> Application:
    """`application`, which sees no request with more than `most` bytes: it is answered 413."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if any(not value.isdigit() or len(value) > MOST_DIGITS or int(value) > most for value in lengths):
            await _refuse(send)
            return
        came = 0
        refused = False

        async def counted() -> Event:
            nonlocal came, refused
            message = await receive()
            came += len(message.get("body") or b"")
            if came <= most:
                return message
            if not refused:
                refused = True
                await _refuse(send)
            return {"type": "http.disconnect"}  # Django puts what it has read away and says nothing more

        async def unless_refused(message: Event) -> None:
            if not refused:
                await send(message)

        await application(scope, counted, unless_refused)

    return limited


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"The body of this request is too big.\n"})
