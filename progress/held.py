"""What the record of a task holds, and what its reader holds already. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from .messages import Changing, LogLine


@dataclass(frozen=True, slots=True)
class Held:
    """What the record says: `changing` is empty and `epoch` "" where Redis holds nothing."""

    epoch: str = ""
    seq: int = 0
    changing: Changing = field(default_factory=lambda: cast(Changing, {}))
    cancel_requested: bool = False
    recovered: bool = False
    log: list[LogLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Since:
    """What a reader already holds, and whether it wants the log.

    `claimed`: a client says so, and a client may say anything. It is never believed beyond what the record holds.
    """

    epoch: str = ""
    seq: int = 0
    log: bool = True
    claimed: bool = False
