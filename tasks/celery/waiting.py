"""Waiting for results: by one subscription, by the row, and by a look every half second where nothing is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeAlias

from celery.backends.base import BaseBackend
from celery.exceptions import TimeoutError

from tasks.models import FINAL, State, TaskRun
from tasks.runs.database import Patience

from .listening import ears
from .types import Meta

#: Those who want to hear of each end.
OnMessage: TypeAlias = Callable[[Meta], object]

#: Seconds between two looks of a caller that waits, where nothing is heard.
LOOK_EVERY = 0.5
#: Runs in one look.
IDS_AT_ONCE = 500


class WaitingBackend(BaseBackend):
    """What `AsyncResult.get` and `GroupResult.join_native` ask of a backend."""

    supports_native_join = True

    def _meta(self, task_id: str, run: TaskRun | None) -> Meta:
        raise NotImplementedError

    def wait_for_pending(  # type: ignore[no-untyped-def]  # the caller's own interval and no_ack do not count here
        self,
        result,
        timeout=None,
        interval=0.5,
        no_ack=True,
        on_message=None,
        on_interval=None,
        callback=None,
        propagate=True,
    ):
        """Wait for one result; see `AsyncResult.get`."""
        for _, meta in self.get_many([result.id], timeout, interval, on_message=on_message, on_interval=on_interval):
            result._maybe_set_cache(meta)
        return result.maybe_throw(propagate=propagate, callback=callback)

    def wait_for(  # type: ignore[no-untyped-def]
        self, task_id, timeout=None, interval=0.5, no_ack=True, on_interval=None
    ):
        """Wait for one task, and return its meta."""
        return next(meta for _, meta in self.get_many([task_id], timeout, interval, on_interval=on_interval))

    def get_many(
        self,
        task_ids: Iterable[object],
        timeout: float | None = None,
        interval: float | None = 0.5,
        no_ack: bool = True,
        on_message: OnMessage | None = None,
        on_interval: Callable[[], object] | None = None,
        **_: object,
    ) -> Iterator[tuple[str, Meta]]:
        """(id, meta) of each task once it has ended, as they end. Raises Celery's TimeoutError.

        A database that is away is waited for as well, for as long as its callers wait for it everywhere.
        """
        self._ensure_not_eager()  # type: ignore[attr-defined]  # private
        patience = Patience(timeout)
        open_ids = dict.fromkeys(map(str, task_ids))
        yield from self._ended(open_ids, on_message, patience)
        if not open_ids:
            return
        with ears().listening(list(open_ids)) as woken:
            while True:
                woken.clear()
                yield from self._ended(open_ids, on_message, patience)
                if not open_ids:
                    return
                if on_interval:
                    on_interval()
                left = patience.left()
                if left == 0:
                    raise TimeoutError("The operation timed out.")
                if not woken.wait(LOOK_EVERY if left is None else min(LOOK_EVERY, left)):
                    ears().renew()

    def _ended(
        self, open_ids: dict[str, None], on_message: OnMessage | None, patience: Patience
    ) -> Iterator[tuple[str, Meta]]:
        ids = list(open_ids)
        for at in range(0, len(ids), IDS_AT_ONCE):
            some = TaskRun.objects.filter(pk__in=ids[at : at + IDS_AT_ONCE], state__in=FINAL)
            for run in patience.ask(partial(list[TaskRun], some)):
                if is_forgotten(run):
                    continue
                meta = self._meta(run.pk, run)
                if run.state == State.SUCCESS:
                    self._cache[run.pk] = meta  # type: ignore[attr-defined]  # private
                del open_ids[run.pk]
                if on_message is not None:
                    on_message(meta)
                yield run.pk, meta


def is_forgotten(run: TaskRun) -> bool:
    """True after `AsyncResult.forget`: the value is not given any more."""
    return bool(run.progress.get("forgotten"))
