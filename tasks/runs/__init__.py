"""The life of a run, whatever engine does it. `from tasks import runs` is the door for everybody outside this room.

 accepting.py ─► PENDING ──claim──► STARTED ──end──► SUCCESS | FAILURE | REVOKED
                     ▲                  │  │
                     └── send again     │  └─ postpone / lost / give back ──► RETRY ──claim──► STARTED …

`moves.py` is the only file that moves a state. `engine.py` says what is asked of Celery or another engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .accepting import Start, accept, adopt, check_id, hold
    from .attempts import Left
    from .cancelling import cancel
    from .database import DatabaseAway, with_retries
    from .engine import Engine, KeyReused, NoEngine, NotAccepted, engines, get_engine, register
    from .fence import hold_fast, holds, works
    from .following import is_alone
    from .message import MAX_ERROR, MAX_MESSAGE, MAX_RESULT, plain, storable
    from .moves import CANCELLED, claim, end, expire, give_back, lost, postpone, release, set_aside
    from .repeating import again
    from .sending import send
    from .together import at_once

#: Where each name is. Imported when it is asked for: what logs a line needs `trace` before Django has its models.
_PLACES = {
    "attempts": ("Left",),
    "accepting": ("Start", "accept", "adopt", "check_id", "hold"),
    "together": ("at_once",),
    "repeating": ("again",),
    "cancelling": ("cancel",),
    "database": ("DatabaseAway", "with_retries"),
    "engine": ("Engine", "KeyReused", "NoEngine", "NotAccepted", "engines", "get_engine", "register"),
    "following": ("is_alone",),
    "fence": ("hold_fast", "holds", "works"),
    "message": ("MAX_ERROR", "MAX_MESSAGE", "MAX_RESULT", "plain", "storable"),
    "moves": (
        *("CANCELLED", "claim", "end", "expire", "give_back", "lost", "postpone"),
        *("release", "set_aside"),
    ),
    "sending": ("send",),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}

__all__ = [
    "CANCELLED",
    "MAX_ERROR",
    "MAX_MESSAGE",
    "MAX_RESULT",
    "DatabaseAway",
    "Engine",
    "KeyReused",
    "Left",
    "NoEngine",
    "NotAccepted",
    "Start",
    "accept",
    "adopt",
    "again",
    "at_once",
    "cancel",
    "check_id",
    "claim",
    "end",
    "engines",
    "expire",
    "get_engine",
    "give_back",
    "hold",
    "hold_fast",
    "holds",
    "is_alone",
    "lost",
    "plain",
    "postpone",
    "register",
    "release",
    "send",
    "set_aside",
    "storable",
    "with_retries",
    "works",
]


def __getattr__(name: str) -> object:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PLACE_OF[name]}", __name__), name)
