"""The WebSocket. `/ws/progress/<task_id>/` shows one task and closes at its end; `/ws/progress/` shows many.

An ASGI application of its own, not a Channels consumer: `AsyncConsumer.dispatch` closes old database connections
before each message, a thread hop for each message and socket, and that was 42 % of the server's time in a fan-out.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import parse_qs

from django.conf import settings
from django.http import parse_cookie

from .address import client_address
from .client_frames import Cancel, ClientFrame, Resync, parse_client_frame
from .errors import FrameError
from .held import Since
from .hub import Hub, get_hub
from .inbox import Inbox, Left, Pace
from .messages import ID_PATTERN, NOT_FOUND, CloseCode, TaskState, error
from .origin import is_own_origin
from .outbox import Outbox, Subscription
from .source import NOBODY, Handshake, OpenSocket, Viewer
from .types import Receive, Scope, Send

logger = logging.getLogger(__name__)

#: Refused frames after which a socket is closed.
MAX_BAD_FRAMES = 5
#: Tasks that one list socket may watch.
MAX_TASKS = 500
#: What a frame costs of `inbox.Pace`. A socket for one task has no reason to ask for 600 snapshots, each with its log.
COST = {"pong": 1.0, "resync": 1.0, "cancel": 5.0, "subscribe": 5.0, "unsubscribe": 1.0}
COST_OF_RESYNC_ALONE = 20.0


async def progress_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one socket from its handshake to its end."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    if not is_own_origin(scope):
        await send({"type": "websocket.close"})  # before it is accepted: the server answers 403
        return
    # Accept before anything else can be refused: a browser sees the close code of an accepted socket only.
    await send({"type": "websocket.accept"})
    hub = get_hub()
    task_id = scope["url_route"]["kwargs"].get("task_id")
    if task_id is not None and not ID_PATTERN.fullmatch(task_id):
        await send({"type": "websocket.close", "code": CloseCode.NOT_FOUND})
        return
    handshake = Handshake(_cookies(scope), task_id, _address(scope))
    inbox = Inbox(receive, hub.traffic)
    counted: str | None = None
    session: _Session | None = None
    try:
        try:
            viewer, stored = await inbox.during(hub.admission.admit(handshake), for_it_alone=True)
        except Left:
            return
        except Exception:
            logger.exception("A visit to the progress socket could not be checked.")
            await send({"type": "websocket.close", "code": CloseCode.UNAVAILABLE})
            return
        if viewer is NOBODY or (task_id is not None and stored is None):
            await send({"type": "websocket.close", "code": CloseCode.NOT_FOUND})
            return
        counted = hub.admission.enter(viewer, handshake)
        if counted is None:
            await send({"type": "websocket.close", "code": CloseCode.TOO_MANY})
            return
        inbox.admit(hub.source.counted_as(viewer, handshake))
        session = _Session(hub, viewer, send, single=task_id is not None, handshake=handshake)
        await session.serve(inbox, stored, _since(scope))
    finally:
        inbox.close()
        hub.tidy.gone(session.outbox.sent if session is not None else 0)
        if counted is not None:
            hub.admission.leave(counted)


class _Session:
    """One admitted socket. A `rights.Guest`, where it came in with a handshake."""

    def __init__(
        self, hub: Hub, viewer: Viewer, send: Send, *, single: bool, handshake: Handshake | None = None
    ) -> None:
        self.hub = hub
        self.viewer = viewer
        self.single = single
        self.handshake = handshake
        self.outbox = Outbox(send, hub.lost, closes_at_end=single)
        self.subscriptions: dict[str, Subscription] = {}
        self.bad_frames = 0
        self.pace = Pace()

    async def serve(self, inbox: Inbox, stored: TaskState | None, since: Since) -> None:
        """Join the task, if it is a socket for one, and answer the browser until it is gone."""
        self.hub.open(self.outbox)
        self.hub.rights.enter(self)
        inbox.on_flood = self._refuse_flood
        try:
            if inbox.flooded:
                self._refuse_flood()
            if stored is not None:
                await inbox.during(self._join(stored, since))
            while True:
                text = await inbox.next()
                frame = None if self.outbox.closed else self._read(text)
                if frame is not None and (frame["type"] == "cancel" or not inbox.left):
                    await inbox.during(self._answer(frame))
        except Left:
            return
        except asyncio.CancelledError:
            self.outbox.close(CloseCode.SHUTTING_DOWN)
            raise
        finally:
            self.outbox.gone()
            self.hub.rights.leave(self)
            self.hub.close(self.outbox, list(self.subscriptions.values()))

    # --- its rights ---------------------------------------------------------------------------------------------------

    def seen(self) -> OpenSocket:
        """See `rights.Guest`."""
        handshake = self.handshake or Handshake({}, None)
        watched = tuple(self.subscriptions) if handshake.task_id is None else (handshake.task_id,)
        return OpenSocket(handshake, self.viewer, watched)

    def recognise(self, viewer: Viewer) -> bool:
        """See `rights.Guest`."""
        if viewer is NOBODY:
            self.outbox.close(CloseCode.NOT_FOUND)
        elif viewer != self.viewer:
            self.viewer = viewer
            self.hub.feeds.recognise(self.outbox, viewer)
        return not self.outbox.closed

    # --- its frames ---------------------------------------------------------------------------------------------------

    def _refuse_flood(self) -> None:
        self.outbox.put_answer(error("too_many", "More frames came than may wait: send them more slowly."))
        self.outbox.close(CloseCode.BAD_FRAMES)

    async def _receive(self, text: str | None) -> None:
        frame = self._read(text)
        if frame is not None:
            await self._answer(frame)

    def _read(self, text: str | None) -> ClientFrame | None:
        """What a frame asks for; None of one that is refused, and of a pong that needs no answer."""
        try:
            frame = parse_client_frame(text)
        except FrameError as refusal:
            self._refuse(refusal)
            return None
        if frame["type"] == "pong" and self.outbox.pong(frame.get("seq", 0)):
            return None
        return frame

    def _refuse(self, refusal: FrameError) -> None:
        self.bad_frames += 1
        self.outbox.put_answer(error(refusal.code, str(refusal)))
        if self.bad_frames >= MAX_BAD_FRAMES:
            self.outbox.close(CloseCode.BAD_FRAMES)

    async def _answer(self, frame: ClientFrame) -> None:
        try:
            alone = self.single and frame["type"] == "resync"
            await self.pace.keep(COST_OF_RESYNC_ALONE if alone else COST[frame["type"]])
            asks = self.handshake is not None and frame["type"] in ("subscribe", "cancel")
            if not asks or await self.hub.rights.hold(self):
                await self._obey(frame)
        except FrameError as refusal:
            self._refuse(refusal)
        except Exception:
            logger.exception("A frame of a browser could not be obeyed; it may come back.")
            self.outbox.close(CloseCode.UNAVAILABLE)

    async def _obey(self, frame: ClientFrame) -> None:
        if frame["type"] == "pong":
            return  # one that answers no ping
        if frame["type"] == "resync":
            subscription = self._subscription(frame)
            since = Since(frame.get("epoch", ""), max(frame.get("seq", 0), 0), subscription.wants_log, claimed=True)
            await self.hub.resync(subscription, since)
        elif frame["type"] == "cancel":
            task_id = self._subscription(frame).task_id
            if not await self.hub.source.cancel(self.viewer, task_id):
                answer = error("not_allowed", "This task cannot be cancelled any more, or not by you.", task_id)
                self.outbox.put_answer(answer)
        elif self.single:
            raise FrameError("bad_frame", f"{frame['type']} is for the list socket /ws/progress/.")
        elif frame["type"] == "subscribe":
            await self._subscribe(frame.get("task_ids", []))
            unknown = await self.hub.feeds.follow(self.outbox, self.viewer, frame.get("feeds", []))
            if unknown:
                raise FrameError("bad_frame", f"There is no feed {unknown[0]}, or no room for one more.")
        else:
            self.hub.feeds.leave(self.outbox, frame.get("feeds", []))
            for task_id in frame.get("task_ids", []):
                if task_id in self.subscriptions:
                    self.hub.leave(self.subscriptions.pop(task_id))

    async def _subscribe(self, task_ids: list[str]) -> None:
        wanted = [one for one in dict.fromkeys(task_ids) if one not in self.subscriptions]
        if len(self.subscriptions) + len(wanted) > MAX_TASKS:
            raise FrameError("too_many", f"A socket may watch {MAX_TASKS} tasks.")
        states = await self.hub.source.states(self.viewer, wanted)
        for task_id in wanted:
            if task_id not in states:
                self.outbox.put_answer(error("not_found", NOT_FOUND, task_id))
        joins = [self._join(state, Since(log=False)) for state in states.values()]
        joined = await asyncio.gather(*joins, return_exceptions=True)
        for task_id, failed in zip(states, joined, strict=True):
            if isinstance(failed, Exception):  # one that cannot be shown is left out, the others are shown
                logger.error("%s cannot be shown on a list socket.", task_id, exc_info=failed)
            elif failed is not None:
                raise failed

    async def _join(self, state: TaskState, since: Since) -> None:
        # In one step with the join itself: whoever is cancelled in between has nothing that nobody knows of.
        self.subscriptions[state["id"]] = await self.hub.join(self.outbox, state, since)

    def _subscription(self, frame: Resync | Cancel) -> Subscription:
        """The one that the frame is about."""
        if self.single:
            return next(iter(self.subscriptions.values()))
        subscription = self.subscriptions.get(frame.get("task_id", ""))
        if subscription is None:
            raise FrameError("bad_frame", "task_id must be one that this socket has subscribed to.")
        return subscription


def _address(scope: Scope) -> str:
    forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin1")
    peer = str((scope.get("client") or ("",))[0])
    return client_address(peer, forwarded, int(getattr(settings, "PROGRESS_PROXIES", 0)))


def _cookies(scope: Scope) -> dict[str, str]:
    header = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin1")
    return parse_cookie(header)  # Django's: another site's strange cookie beside ours does not hide ours


def _since(scope: Scope) -> Since:
    """What the browser says it holds: `?epoch=…&seq=…`. Nonsense is the same as nothing."""
    query = parse_qs(scope.get("query_string", b"").decode("latin1"))
    epoch, seq = query.get("epoch", [""])[0], query.get("seq", ["0"])[0]
    if ID_PATTERN.fullmatch(epoch) and seq.isascii() and seq.isdigit() and len(seq) < 16:
        return Since(epoch, int(seq), claimed=True)
    return Since()
