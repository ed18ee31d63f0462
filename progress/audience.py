"""The sockets of one web process that watch one task: each frame that arrives goes to all of them."""

from __future__ import annotations

import asyncio

from .listener import Published
from .outbox import Subscription
from .size import listed_text
from .topic import News, Topic

#: Sockets served in one go; then other work of the event loop gets a turn. With 250 news of newer frames waited so long
#: under Daphne that 1,000 viewers were shown states that were twice as old.
FAN_OUT_SLICE = 100


class Audience:
    """A topic, its sockets, and how far this process has joined the task's group."""

    __slots__ = ("joined", "repairing", "subscribed", "subscriptions", "topic")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.subscriptions: list[Subscription] = []
        self.joined: asyncio.Task[None] | None = None
        self.subscribed = False
        self.repairing = False

    @property
    def is_owed(self) -> bool:
        """True if frames are missing that the record may still have."""
        return self.topic.hole is not None or any(one.lacks is not None for one in self.subscriptions)

    async def hand_out(self, news: News) -> None:
        """Offer `news` to every socket, in the order of `seq`."""
        hole = self.topic.hole
        if hole is not None:
            for subscription in self.subscriptions:
                if subscription.ready and subscription.lacks is None and subscription.seq < self.topic.seq:
                    subscription.lacks = hole
        newest = news.newest
        for log in news.logs:
            if newest is None or log["seq"] < newest["seq"]:
                self._offer_log(log)
        if newest is not None:
            await self._offer_update(newest)
        for log in news.logs:
            if newest is not None and log["seq"] > newest["seq"]:
                self._offer_log(log)

    def _offer_log(self, message: Published) -> None:
        for subscription in list(self.subscriptions):
            if not subscription.ready or not subscription.wants_log or subscription.seq >= message["seq"]:
                continue
            if subscription.lacks is None or subscription.lacks >= message["seq"]:
                subscription.outbox.put_frame(subscription, message["seq"], message["text"])

    async def _offer_update(self, message: Published) -> None:
        seq, text, end, epoch = message["seq"], message["text"], message["final"], message["epoch"]
        event = {"type": "websocket.send", "text": text}
        in_list, in_list_event = text, event
        if end and not all(one.wants_log for one in self.subscriptions):  # only a final one has a result
            in_list = listed_text(text)
            in_list_event = {"type": "websocket.send", "text": in_list}
        subscriptions = list(self.subscriptions)
        for start in range(0, len(subscriptions), FAN_OUT_SLICE):
            if start:
                await asyncio.sleep(0)
            for subscription in subscriptions[start : start + FAN_OUT_SLICE]:
                if end and subscription.lacks is not None and subscription.wants_log:
                    continue  # its end comes with the log lines that it lacks, before which the socket must not close
                if subscription.ready and subscription.seq < seq and subscription.epoch == epoch:
                    if subscription.wants_log:
                        subscription.outbox.put_update(subscription, seq, text, event, end)
                    else:
                        subscription.outbox.put_update(subscription, seq, in_list, in_list_event, end)
