"""A channel layer that loses messages."""

from __future__ import annotations

import random
from typing import Any

from progress.layer import ProgressChannelLayer

#: Of a hundred.
LOST = 30


class LossyLayer(ProgressChannelLayer):
    """Loses `LOST` per cent of the messages on the way to the hub, each by chance."""

    async def receive_many(self, channel: str) -> list[dict[str, Any]]:
        while True:
            messages = await super().receive_many(channel)
            kept = [message for message in messages if random.randrange(100) >= LOST]
            if kept:
                return kept
