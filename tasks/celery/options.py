"""The options of a stored message, before they are sent: one of the wrong type may end the worker that gets it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from celery import current_app
from kombu import Exchange, Queue, compression
from kombu.serialization import registry as serializers  # type: ignore[attr-defined]  # not in its types

from .types import Options

NUMBER, TEXT, LIST, SIGNATURES = "a number", "a text", "a list", "a signature or a list of them"

#: What an option must be, as it is stored. Those that are not named here pass.
KINDS = {
    **dict.fromkeys(("time_limit", "soft_time_limit", "retries", "priority", "group_index"), NUMBER),
    **dict.fromkeys(("queue", "exchange", "routing_key", "serializer", "compression", "shadow"), TEXT),
    **dict.fromkeys(("root_id", "parent_id", "group_id"), TEXT),
    **dict.fromkeys(("link", "link_error", "chain", "chord"), SIGNATURES),
    "headers": "an object",
}
HEADERS = {
    **dict.fromkeys(("id", "root_id", "parent_id", "group", "eta", "expires"), TEXT),
    **dict.fromkeys(("timelimit", "stamped_headers"), LIST),
    "retries": NUMBER,
    "stamps": "an object",
}


def check(options: Options) -> None:
    """Raises TypeError or ValueError that names the option, what it must be, and what came."""
    for name, kind in KINDS.items():
        value = options.get(name)
        if isinstance(value, (Queue, Exchange)):
            value = value.name
        if value is not None and not _is(kind, value):
            raise TypeError(f"The option {name} must be {kind}, but got {value!r}"[:300])

    if (value := options.get("serializer")) is not None and value not in (known := _taken()):
        raise ValueError(f"The option serializer must be one of {', '.join(known)}, but got {value!r}"[:300])
    if (value := options.get("compression")) is not None:
        try:
            compression.get_encoder(value)
        except LookupError:
            known = sorted(compression.encoders())
            raise ValueError(f"The option compression must be one of {', '.join(known)}, but got {value!r}") from None


def _taken() -> list[str]:
    """The serializers whose messages a worker takes: it throws any other one away."""
    accepted = set(current_app.conf.accept_content)
    return sorted(name for name, kind in serializers.name_to_type.items() if accepted & {name, kind})


def check_headers(headers: Mapping[str, object]) -> None:
    """The same for what a worker's main process reads of a message that any program may have sent."""
    for name, kind in HEADERS.items():
        value = headers.get(name)
        if value is not None and not _is(kind, value):
            raise TypeError(f"The header {name} must be {kind}, but got {value!r}"[:300])
    limits = cast("tuple[object, ...]", headers.get("timelimit") or (None, None))
    if len(limits) != 2 or not all(one is None or _is(NUMBER, one) for one in limits):
        raise TypeError(f"The header timelimit must be two numbers, but got {limits!r}"[:300])


def _is(kind: str, value: object) -> bool:
    if kind == NUMBER:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if kind == TEXT:
        return isinstance(value, str)
    if kind == LIST:
        return isinstance(value, (list, tuple))
    if kind == SIGNATURES and isinstance(value, (list, tuple)):
        return all(_is(SIGNATURES, one) for one in value)
    return isinstance(value, dict) and (kind != SIGNATURES or isinstance(value.get("task"), str))
