"""The checkpoints of one attempt: kept in memory, written by one UPDATE that names the attempt.

Two kinds of values are apart: those that may be written, and those that were saved within a transaction of the task,
which are worth nothing before it is committed. A `Held` waits for that as Django's own commit hook.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import DEFAULT_DB_ALIAS

from progress.errors import Cancelled
from progress.messages import Reached
from progress.reporter import Reporter
from progress.resumed import is_behind
from progress.types import JSON
from tasks.runs import checkpoints, hold_fast, with_retries
from tasks.runs.checkpoints import At

from . import stopping
from .errors import CheckpointError, Stopped
from .places import Place
from .value import MAX_ALL, Kept, read

logger = logging.getLogger(__name__)

OVERTAKEN = "Another attempt holds this run now."


class Book:
    """What the task of `reporter` has saved. `at` is the row's `checkpoint_at`, if it fits this task; `version` and
    `fits()` say for which task what is written here fits."""

    def __init__(self, reporter: Reporter, at: Reached | None, version: JSON, fits: Callable[[], str]) -> None:
        self.reporter = reporter
        self.thread = threading.get_ident()
        #: That of the thread in which the task runs.
        self.connection: BaseDatabaseWrapper = connections[DEFAULT_DB_ALIAS]
        self.saved: dict[str, Kept] = {}
        self.loops: dict[str, Place] = {}
        self._lock, self._writing = threading.RLock(), threading.RLock()
        self._at = at
        self._version, self._fits = version, fits
        self._opened = False
        self._stale = False
        self._advanced = False
        self._fences: dict[int, Fence] = {}
        self._running: dict[int, list[Place]] = {}
        self._began = self._written = ""
        self._numbers = itertools.count(1)
        self._seq = self._unsure = 0

    # --- what was stored before ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read what an attempt before has left, once. Raises what the database says."""
        if self._opened:
            return
        with self._writing:
            if self._opened:
                return
            stored, seq = self._read() if here().in_atomic_block else with_retries(self._read)
            self._seq, self._numbers = seq, itertools.count(seq + 1)
            if self._at is not None and isinstance(stored, dict):
                self._take(stored)
            self._began = self._written = self._text(self.snapshot())
            self._opened = True

    def _read(self) -> tuple[JSON, int]:
        return checkpoints.read(self.reporter.task_id)

    def _take(self, stored: dict[str, JSON]) -> None:
        saved, loops = stored.get("saved"), stored.get("loops")
        if isinstance(saved, dict):
            self.saved = dict(saved)
        if isinstance(loops, dict):
            self.loops = {name: Place.of(name, one) for name, one in loops.items()}

    # --- what the task saves ------------------------------------------------------------------------------------------

    def save(self, name: str, value: Kept) -> None:
        """Remember `value`: for the next write; in a fence, in its transaction; in another one, when that is committed.

        Raises `Cancelled` and `Stopped`, outside of transactions.
        """
        self.open()
        connection = here()
        if (fence := self._fences.get(threading.get_ident())) is not None:
            self._save_in_fence(connection, name, value)
            fence.saved = True
        elif connection.in_atomic_block:
            self._held(connection).saved[name] = value
        else:
            self.saved[name] = value
            self.attend()

    def load(self, name: str, default: object) -> object:
        """The newest value of `name` that has not been rolled back; a copy."""
        self.open()
        saved = self._all_saved(here())
        if name not in saved:
            return default
        value = read(saved[name])
        return json.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value

    def _save_in_fence(self, connection: BaseDatabaseWrapper, name: str, value: Kept) -> None:
        """Written in the fence's transaction. A loop of the same name has done the item that it is at."""
        loops = self._running.get(threading.get_ident(), [])
        done = next((one for one in reversed(loops) if one.name == name), None)
        held = self._held(connection)
        held.saved[name] = value
        if done is not None:
            held.places[done] = (done.at[0] + 1, done.now)
        held.seq = next(self._numbers)
        snapshot = self.snapshot(connection, done)
        text = self._text(snapshot)
        if not self._write(snapshot, text, held.seq, None):
            raise Cancelled(OVERTAKEN)
        held.text = text

    def _held(self, connection: BaseDatabaseWrapper) -> Held:
        """What waits for the commit of the transaction, or of the savepoint, that is open now."""
        hooks = connection.run_on_commit
        if hooks and isinstance(hooks[-1][1], Held):
            held: Held = hooks[-1][1]
            if held.book is self and hooks[-1][0] == set(connection.savepoint_ids):
                return held
        held = Held(self)
        transaction.on_commit(held, robust=True)
        return held

    # --- loops --------------------------------------------------------------------------------------------------------

    def enter(self, name: str, source: object) -> Place:
        """The place of a loop that begins here and now, within the innermost one that runs in this thread."""
        self.open()
        running = self._running.setdefault(threading.get_ident(), [])
        beside = running[-1].inner if running else self.loops
        place = beside.get(name) or Place(name)
        if place.source is not None and place.source is not source:
            raise CheckpointError(
                f"Two loops of this task are named {name!r}: the second one would be taken for the first. Give each a "
                'name of its own: resumable(…, name="…").'
            )
        place.source = source
        beside[name] = place
        running.append(place)
        return place

    def leave(self, place: Place) -> None:
        """The loop has ended, or was left."""
        for running in list(self._running.values()):
            if place in running:
                running.remove(place)

    def move(self, place: Place, at: tuple[int, object]) -> None:
        """The loop has done one more, within a transaction that is still open."""
        self._held(here()).places[place] = at

    # --- the ends of a save -------------------------------------------------------------------------------------------

    def attend(self) -> None:
        """Raise the end of the attempt, if it shall end. A worker that ends waits for an open transaction of the task:
        what was done in it would be lost."""
        if self._stale:
            raise Cancelled(OVERTAKEN)
        if self.reporter.attention:
            self.reporter.attend()
        if stopping.flag[0] and not here().in_atomic_block:
            raise Stopped

    @contextmanager
    def fence(self) -> Iterator[None]:
        """See `fenced`."""
        self.open()
        thread = threading.get_ident()
        outer = self._fences.get(thread)
        fence = outer or Fence()
        # The lock: of two threads of the task, the second one sees what the first has written.
        with self._lock, transaction.atomic():
            if not hold_fast(self.reporter.task_id, self.reporter.attempt):
                raise Cancelled(OVERTAKEN)
            self._fences[thread] = fence
            try:
                yield
            finally:
                if outer is None:
                    del self._fences[thread]
        if fence.saved and outer is None:
            self.attend()

    def step_ended(self) -> None:
        """A step of the task has ended: what it saved is written now."""
        if self._opened and not here().in_atomic_block:
            self.flush()

    # --- the write ----------------------------------------------------------------------------------------------------

    def snapshot(self, connection: BaseDatabaseWrapper | None = None, done: Place | None = None) -> dict[str, JSON]:
        """What is to be stored; with `connection`, with what its open transaction holds."""
        saved = dict(self.saved) if connection is None else self._all_saved(connection)
        loops = {name: one.as_json(done) for name, one in dict(self.loops).items()}
        return {"saved": {name: read(one) for name, one in saved.items()}, "loops": cast(JSON, loops)}

    def _all_saved(self, connection: BaseDatabaseWrapper) -> dict[str, Kept]:
        """With what the open transaction of `connection` holds, where it has one."""
        saved = dict(self.saved)
        for hook in connection.run_on_commit if connection.in_atomic_block else ():
            if isinstance(hook[1], Held) and hook[1].book is self:
                saved |= hook[1].saved
        return saved

    def flush(self) -> bool:
        """Write what is new, outside of a fence; True if something was. Never raises: it is tried again."""
        if not self._opened or self._stale:
            return False
        with self._writing:
            # In this order: a fence that is committed in between has values that are not in `snapshot`, and then its
            # number is another one than `after`, so that nothing is overwritten.
            after, seq = self._seq, next(self._numbers)
            snapshot = self.snapshot()
            text = self._text(snapshot)
            if text == self._written:
                return False
            try:
                if self._write(snapshot, text, seq, after):
                    self.committed(seq, text, after)
                    return True
                self._look_why()
            except Exception as error:
                self._unsure = seq
                logger.warning("The checkpoint of %s could not be written now: %s", self.reporter.task_id, error)
        return False

    def _write(self, snapshot: dict[str, JSON], text: str, seq: int, after: int | None) -> bool:
        if len(text) > MAX_ALL:
            raise CheckpointError(
                f"All checkpoints of a task together may have {MAX_ALL:,} bytes of JSON, but have {len(text):,}."
            )
        self._advanced = self._advanced or text != self._began
        task_id, attempt = self.reporter.task_id, self.reporter.attempt
        return checkpoints.write(task_id, attempt, seq, snapshot, self._reached(), advanced=self._advanced, after=after)

    def _reached(self) -> At:
        bar = self.reporter.bar()
        if self._at is not None and is_behind(bar, self._at):
            bar = {**self._at, "unit": bar["unit"] or self._at["unit"]}
        return {**bar, "version": self._version, "fits": self._fits()}

    def _look_why(self) -> None:
        """Nothing was written: the run is another attempt's, or a fence has written meanwhile."""
        newest = checkpoints.newest(self.reporter.task_id, self.reporter.attempt)
        if newest is None:
            self._stale = True
            logger.warning("Refused a late checkpoint: attempt %s of %s.", self.reporter.attempt, self.reporter.task_id)
        elif newest == self._unsure:  # it was stored, and only the answer was lost
            self._seq = newest

    def committed(self, seq: int, text: str, after: int | None = None) -> None:
        """Write `seq` is in the database; with `after`, unless a fence has written since."""
        if text != self._written:
            self.reporter.advanced()
        if after is None or self._seq == after:
            self._seq, self._written = seq, text

    @staticmethod
    def _text(snapshot: dict[str, JSON]) -> str:
        return json.dumps(snapshot, sort_keys=True)


class Fence:
    """A thread's outermost fence. `saved`: a checkpoint is written with it."""

    saved = False


class Held:
    """Saved within a transaction; Django calls it when that is committed, and forgets it when it is rolled back."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.saved: dict[str, Kept] = {}
        self.places: dict[Place, tuple[int, object]] = {}
        #: Of the write within the transaction, where there was one.
        self.seq = 0
        self.text = ""

    def __call__(self) -> None:
        self.book.saved.update(self.saved)
        for place, at in self.places.items():
            place.at = at
        if self.seq:
            self.book.committed(self.seq, self.text)


def here() -> BaseDatabaseWrapper:
    """The connection of this thread to the database that runs are in."""
    return connections[DEFAULT_DB_ALIAS]
