"""Is something wrong, since when, and after what? Pure: figures in, a sentence out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: Runs that must have ended for a share to say something, and failed to be more than chance.
ENOUGH, SOME = 20, 3
#: The share is raised where it is this many times the usual one, and at least so much more.
TIMES, MORE = 2.0, 0.01
#: A release so long before the trouble may be why.
AFTER_RELEASE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Span:
    """A few minutes: how many runs have ended in them, and failed."""

    begin: datetime
    ended: int
    failed: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """More fail than usual since the span that begins then; `longer`: that is the first span which is known."""

    share: float
    usual: float | None
    begin: datetime
    longer: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """What stands before and after a time, so that a page can show that in its reader's zone."""

    before: str
    at: datetime | None = None
    after: str = ""

    def __str__(self) -> str:
        at = f"{self.at.astimezone(UTC):%H:%M} UTC" if self.at else ""
        return self.before + at + self.after


def share_of(spans: Sequence[Span]) -> float | None:
    """The failed ones of all that ended; None where too few have."""
    ended = sum(span.ended for span in spans)
    return sum(span.failed for span in spans) / ended if ended >= ENOUGH else None


def trouble(spans: Sequence[Span], usual: float | None) -> Trouble | None:
    """Whether the newest of `spans` (the oldest first) have more failures than `usual`, and since which."""
    first = len(spans)
    while first > 0 and sum(span.ended for span in spans[first:]) < ENOUGH:
        first -= 1
    newest = spans[first:]
    share = share_of(newest)
    bound = max((usual or 0.0) * TIMES, (usual or 0.0) + MORE)
    if share is None or share < bound or sum(span.failed for span in newest) < SOME:
        return None
    while first < len(spans) - 1 and not _is_raised(spans[first], bound):  # taken along to have enough
        first += 1
    while first > 0 and (_is_raised(spans[first - 1], bound) or (not spans[first - 1].ended and _before(spans, first))):
        first -= 1
    while not spans[first].failed:
        first += 1
    return Trouble(share_of(spans[first:]) or share, usual, spans[first].begin, longer=first == 0)


def _is_raised(span: Span, bound: float) -> bool:
    return span.failed > 0 and span.failed / max(span.ended, 1) >= bound


def _before(spans: Sequence[Span], first: int) -> bool:
    """True if there is a span with an end before this one, which decides."""
    return any(span.ended for span in spans[:first])


def in_words(found: Trouble, since: datetime, release: str = "", released: datetime | None = None) -> Sentence:
    """`12 % fail since 14:02, usual 0.4 %, 2 min after release a1b2c3d`."""
    after = "" if found.usual is None else f", usual {percent(found.usual)}"
    if release and released is not None and timedelta() <= since - released <= AFTER_RELEASE:
        after += f", {span_text(since - released)} after release {release}"
    begin = "since before " if found.longer else "since "
    return Sentence(f"{percent(found.share)} fail {begin}", since, after + ".")


def percent(share: float) -> str:
    """`0.4 %`, `12 %`."""
    value = share * 100
    return f"{value:.0f} %" if value >= 9.95 or value == 0 else f"{value:.1f} %"


def span_text(length: timedelta) -> str:
    """`40 s`, `2 min`, `3 h`, `2 days`."""
    seconds = max(length.total_seconds(), 0)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"
