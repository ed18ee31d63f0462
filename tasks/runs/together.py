"""Many starts, stored as one: a few statements however many they are, and all of them or none."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from tasks.models import TaskRun

from . import counts
from .accepting import Batch, Waiting, accept, together
from .moves import end_cancelled
from .sending import send_many

logger = logging.getLogger(__name__)

#: Rows of one statement, and ids that are looked up at once.
SLICE = 500


@contextmanager
def at_once() -> Iterator[None]:
    """What is started in this block is stored when the block is left, together, and then sent.

        with runs.at_once():
            for order in orders:
                import_order.delay(order.pk)

    `.delay()` gives each its id at once; where the block raises, none of them exists. A start with an idempotency key,
    with `one_while_active`, or with others behind it is stored where it is called, in the same transaction.
    """
    if together.get() is not None:  # within another one: stored with that
        yield
        return
    with transaction.atomic():
        batch = Batch()
        token = together.set(batch)
        try:
            yield
        finally:
            together.reset(token)
        _store(batch.waiting)


def _store(waiting: list[Waiting]) -> None:
    given = [one.run.pk for one in waiting if one.start.id is not None]
    known: set[str] = set()
    for at in range(0, len(given), SLICE):
        known.update(TaskRun.objects.filter(pk__in=given[at : at + SLICE]).values_list("pk", flat=True))
    new: dict[str, Waiting] = {}
    for one in waiting:
        if one.run.pk in known or one.run.pk in new:
            accept(one.start, retry_of=one.run.retry_of, owner=one.owner)  # it is there: held until now, or ended
        else:
            new[one.run.pk] = one
    rows = [one.run for one in new.values()]
    if not rows:
        return
    TaskRun.objects.bulk_create(rows, batch_size=SLICE)
    for run in rows:
        counts.accepted(run)
    logger.info("Accepted %s runs at once: %s and others.", len(rows), rows[0])
    transaction.on_commit(lambda: send_many(rows), robust=True)
    for one in new.values():
        if one.of_cancelled:
            end_cancelled(one.run.pk)
