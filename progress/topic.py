"""What one web process knows of one task that somebody watches. Pure: no sockets, no clock, no event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .held import Held, Since
from .listener import Published
from .messages import FINAL_STATES, Changing, LogLine, TaskState
from .size import fits, listed, snapshots
from .state import is_older, merge, telling
from .stored import parse_changing, parse_lines

#: Frames kept of each task for sockets that are joining: three seconds of a busy one.
RECENT = 64
#: Seconds of silence after which the database is asked too: the worker may have recorded an end and died untold.
ASK_AFTER_SILENCE = 4.0
#: Seconds after which it is asked of a task that is not silent as well: its row may have been deleted.
ASK_ANYHOW = 5.0

WAITING_STATES = frozenset({"PENDING", "RETRY"})


@dataclass(frozen=True, slots=True)
class News:
    """What is to be forwarded of the messages that arrived: log frames in order, and the newest update."""

    logs: Sequence[Published]
    newest: Published | None


class Topic:
    """One task, as far as this process was told. `now` is the event loop's time, in seconds."""

    __slots__ = ("_live", "asked_at", "changed_at", "epoch", "hole", "recent", "seq", "stored", "task_id", "told")

    def __init__(self, task_id: str, stored: TaskState, now: float) -> None:
        self.task_id = task_id
        self.stored = stored
        #: The newest frames, for a socket that reads the record while they arrive.
        self.recent: deque[Published] = deque(maxlen=RECENT)
        self._live: Changing | str = {}  # a str is the frame that the changing part has not been parsed from yet
        #: The newest frame that arrived, and the one after which frames were missed (None: none were).
        self.epoch = ""
        self.seq = 0
        self.hole: int | None = None
        #: What viewers were last told, as `state.telling` has it; empty: something newer, not looked at yet.
        self.told: tuple[object, ...] = ()
        self.changed_at = self.asked_at = now

    @property
    def live(self) -> Changing:
        """The newest changing part that arrived or was read; what is shown while Redis is away."""
        if isinstance(self._live, str):
            self._live = parse_changing(self._live)
        return self._live

    def open_hole(self) -> int:
        """Take for certain that frames may be missing after the newest one; the `seq` after which they are."""
        self.hole = self.seq if self.hole is None else self.hole
        return self.hole

    # --- what arrives -------------------------------------------------------------------------------------------------

    def arrive(self, messages: Sequence[Published], now: float) -> News | None:
        """Take in what the channel layer brought, and answer what of it is to be forwarded.

        None when it belongs to a new record: the first of this task, or one begun after Redis lost its data. Then
        viewers need a snapshot. After a hole no log lines are forwarded: those that were missed must come before them.
        """
        logs: list[Published] = []
        newest: Published | None = None
        for message in messages:
            if message["epoch"] != self.epoch:
                return None
            if message["seq"] <= self.seq:
                continue
            if message["seq"] > self.seq + 1 or not fits(message["text"]):
                self.open_hole()  # one that is too large is as one that was missed: a snapshot brings what it says
            self.seq = message["seq"]
            self.recent.append(message)
            if message["kind"] == "log":
                logs.append(message)
            else:
                newest = message if fits(message["text"]) else None
                self._live = message["text"]
                self.told = ("final",) if message["final"] else ()
        self.changed_at = now
        if self.hole is not None:
            logs = [log for log in logs if log["seq"] <= self.hole]
        return News(logs, newest)

    # --- what is read -------------------------------------------------------------------------------------------------

    def heard(self, since: Since) -> Held:
        """What arrived, as a record without log lines: what is shown while Redis cannot be read."""
        same = since.epoch == self.epoch and bool(self.epoch)
        return Held(epoch=self.epoch, seq=self.seq, changing=self.live, recovered=same)

    def combine(self, held: Held, since: Since) -> Held | None:
        """The record as it was read, with what arrived meanwhile; None when that leaves a gap: read again."""
        if not held.epoch:  # Redis has lost it, or there was never any: what this process heard is all there is
            return self.heard(since)
        if held.epoch != self.epoch and is_older(held.changing, self.live):
            # Redis came back with a record of before: the numbers that were shown already stay.
            return replace(held, changing=self.live)
        if held.epoch != self.epoch or held.seq >= self.seq:
            return held
        newer = [message for message in self.recent if message["seq"] > held.seq]
        if len(newer) != self.seq - held.seq:
            return None
        changing = self.live if any(message["kind"] != "log" for message in newer) else held.changing
        lines: list[LogLine] = []
        if since.log:
            for message in newer:
                if message["kind"] == "log":
                    lines += parse_lines(message["text"])
        return replace(held, seq=self.seq, changing=changing, log=held.log + lines)

    def take(self, held: Held, now: float) -> TaskState:
        """The state to show for `held`, remembered as told to everybody."""
        state = merge(self.stored, held.changing)
        if self.epoch != held.epoch or self.seq <= held.seq:
            if self.epoch != held.epoch:
                self.recent.clear()
                self.hole = None
            if (self.epoch, self.seq) != (held.epoch, held.seq):
                self.changed_at = now
            self.epoch, self.seq, self._live = held.epoch, held.seq, held.changing
            self.told = telling(state)
        return state

    def snapshot(self, held: Held, state: TaskState, *, whole: bool) -> list[str]:
        """The texts of the frames that show `state`: `whole` with the log lines of `held`, else as lists show it."""
        log = held.log if whole else []
        shown = state if whole else listed(state)
        return snapshots(self.task_id, held.epoch, held.seq, shown, log, recovered=held.recovered)

    # --- what is compared ---------------------------------------------------------------------------------------------

    def store(self, stored: TaskState) -> None:
        """Take over a row that was read for one more viewer, unless it is of an earlier attempt."""
        if stored.get("attempt", 0) >= self.stored.get("attempt", 0):
            self.stored = stored

    def is_doubtful(self, now: float) -> bool:
        """True if the database is to be asked: the task waits (why?), it fell silent (did it end untold?), or it was
        not asked for a while (is it still there?)."""
        waits = bool(self.told) and self.told[0] in WAITING_STATES
        due = now - self.changed_at > ASK_AFTER_SILENCE or now - self.asked_at > ASK_ANYHOW
        return (waits or due) and self.stored.get("state") not in FINAL_STATES

    def refresh(self, stored: TaskState, now: float) -> bool:
        """Take over what the database says now; True if viewers were told something else."""
        self.stored = stored
        self.changed_at = self.asked_at = now
        if self.told == ("final",):  # the database may have recorded another end than the one that was told
            return stored.get("state") in FINAL_STATES and stored.get("state") != self.live.get("state")
        return telling(merge(stored, self.live)) != (self.told or telling(self.live))

    def differs(self, epoch: str, seq: int, seen: int) -> bool:
        """True if the record, at `seq` of `epoch`, is not what arrived; `seen` is the `seq` when it was asked.

        It has more: that was missed. It has less: Redis came back with a record of before.
        """
        if epoch != self.epoch:
            return bool(epoch)
        return seq != self.seq and seen == self.seq
