"""What a person asks for: the reports of these sellers for these days."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypedDict

#: What a seller id may look like. It travels in the source's address and in file names: no slash, no leading dot.
SELLER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Arguments(TypedDict):
    """What travels through the queue; the days as YYYY-MM-DD."""

    start_date: str
    end_date: str
    sellers: list[str]
    launcher: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Sellers × days, from `start` to `end`, both included. `launcher` is the name of the person who asked."""

    start: date
    end: date
    sellers: tuple[str, ...]
    launcher: str

    @classmethod
    def from_arguments(cls, start_date: str, end_date: str, sellers: Sequence[str], launcher: str) -> Wanted:
        """From what travels through the queue; the days as YYYY-MM-DD. Raises ValueError for what is no day or id."""
        for seller_id in sellers:
            if not SELLER_ID.fullmatch(seller_id):
                raise ValueError(f"{seller_id!r} is no seller id.")
        return cls(date.fromisoformat(start_date), date.fromisoformat(end_date), tuple(sellers), launcher)

    def as_arguments(self) -> Arguments:
        """The same, for the queue."""
        return {
            "start_date": self.start.isoformat(),
            "end_date": self.end.isoformat(),
            "sellers": list(self.sellers),
            "launcher": self.launcher,
        }

    @property
    def days(self) -> int:
        """How many days, for each seller."""
        return (self.end - self.start).days + 1

    def __len__(self) -> int:
        return self.days * len(self.sellers)

    def __iter__(self) -> Iterator[tuple[str, date]]:
        """(seller id, day) of each report, seller by seller: that is also the order of the tables' keys."""
        for seller_id in self.sellers:
            for number in range(self.days):
                yield seller_id, self.start + timedelta(number)

    @property
    def title(self) -> str:
        """Sellers and days in a few words, which may also be part of a file name."""
        first, *others = self.sellers
        more = f"-and-{len(others)}-more" if others else ""
        return f"{first}{more}_{self.start}_{self.end}"
