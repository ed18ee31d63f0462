"""Which fingerprints there are: one step of their index for each, however many failures it has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import connection

from tasks.models import TaskRun

from .bounded import COUNTED, Count

#: So many are looked at, and counted by one question: SQLite takes few parts.
MOST, AT_ONCE = 1_000, 100

_TABLE = TaskRun._meta.db_table
_NAMES = f"""
WITH RECURSIVE alike(name) AS (
  SELECT (SELECT MIN(fingerprint) FROM {_TABLE} WHERE fingerprint IS NOT NULL)
  UNION ALL
  SELECT (SELECT MIN(fingerprint) FROM {_TABLE} WHERE fingerprint > alike.name)
  FROM alike WHERE alike.name IS NOT NULL
)
"""
_FIRST_AND_LAST = f"""
SELECT alike.name,
  (SELECT MIN(finished_at) FROM {_TABLE} WHERE fingerprint = alike.name),
  (SELECT MAX(finished_at) FROM {_TABLE} WHERE fingerprint = alike.name)
FROM alike WHERE alike.name IS NOT NULL LIMIT %s
"""


def fingerprints() -> list[str]:
    """Up to `MOST`, in order."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_NAMES} SELECT alike.name FROM alike WHERE alike.name IS NOT NULL LIMIT %s", [MOST])
        return [name for (name,) in cursor.fetchall()]


def first_and_last() -> list[tuple[str, datetime, datetime]]:
    """Each of `fingerprints` with when it first failed, and last."""
    with connection.cursor() as cursor:
        cursor.execute(_NAMES + _FIRST_AND_LAST, [MOST])
        return [(name, _moment(first), _moment(last)) for name, first, last in cursor.fetchall()]


def counted(names: Sequence[str], begin: datetime | None = None, end: datetime | None = None) -> dict[str, Count]:
    """How many of each have failed from `begin` on and before `end`, as far as one counts; in few questions."""
    found: dict[str, Count] = {}
    bounds = [(sign, moment) for sign, moment in ((">=", begin), ("<", end)) if moment is not None]
    where = "".join(f" AND finished_at {sign} %s" for sign, _ in bounds)
    one = f"SELECT %s, COUNT(*) FROM (SELECT 1 FROM {_TABLE} WHERE fingerprint = %s{where} LIMIT %s) AS alike"
    moments = [connection.ops.adapt_datetimefield_value(moment) for _, moment in bounds]
    for slice_of in (names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)):
        asked = [[place, name, *moments, COUNTED + 1] for place, name in enumerate(slice_of)]
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join([one] * len(slice_of)), [word for words in asked for word in words])
            for place, number in cursor.fetchall():
                found[slice_of[place]] = Count(min(number, COUNTED), number > COUNTED)
    return found


def _moment(value: datetime | str) -> datetime:
    """A time as the database gives it to who does not ask through a model: SQLite's is a text in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
