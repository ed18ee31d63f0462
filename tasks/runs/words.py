"""What somebody has typed into a search: `error:KeyError args:SKU-1 "two words"`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: Words that say where to look.
PLACES = ("error", "args", "queue", "worker")

_PART = re.compile(rf'(?:^|(?<=\s))({"|".join(PLACES)}):(?:"([^"]*)"|(\S+))')


@dataclass(frozen=True)
class Words:
    """What is looked for in each place, and `text`, which may be anywhere."""

    text: str = ""
    places: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, typed: str) -> Words:
        """A place without a word is a text like any other."""
        places: dict[str, list[str]] = {}
        for place, quoted, plain in _PART.findall(typed):
            if quoted or plain:
                places.setdefault(place, []).append(quoted or plain)
        return cls(" ".join(_PART.sub(" ", typed).split()) if places else typed, places)
