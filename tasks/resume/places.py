"""Where the loops of a task are, and which of them run within which."""

from __future__ import annotations

from progress.types import JSON
from progress.values import plain_json

from .value import checked

#: Characters of an item that is remembered as the last one that was done.
MAX_LAST = 200


class Place:
    """Where one loop is: `at` is (how many items are done, what is remembered of the last one).

    `at` is one attribute, so that another thread reads a pair that belongs together.
    """

    __slots__ = ("at", "ended", "inner", "item", "keyed", "name", "now", "source", "total")

    def __init__(self, name: str) -> None:
        self.name = name
        self.at: tuple[int, object] = (0, None)
        self.total: float | None = None
        #: True where the source is asked "after what?": the last one's key, then, is what it is given.
        self.keyed = False
        self.ended = False
        #: The loops that have begun within the body, for the item that is worked on.
        self.inner: dict[str, Place] = {}
        #: In which item the loops in `inner` had begun, as far as that can be told.
        self.item: object = None
        #: What will be remembered of the item that is worked on, once that is done.
        self.now: object = None
        #: What this attempt gave to `resumable`; None until it did.
        self.source: object = None

    def as_json(self, done: Place | None = None) -> dict[str, JSON]:
        """As it is stored; of `done`, the item that is worked on counts as done."""
        count, last = self.at
        inner = dict(self.inner)
        if self is done:
            count, last, inner = count + 1, self.now, {}
        stored: dict[str, JSON] = {"done": count, "total": self.total}
        if self.keyed and count:
            stored["after"] = checked(last)
        elif type(last) is int or (type(last) is str and len(last) <= MAX_LAST):
            stored["last"] = plain_json(last)  # a source that has changed is searched for it
        if self.ended:
            stored["ended"] = True
        if inner:
            stored["inner"] = {name: one.as_json(done) for name, one in inner.items()}
            item = self.item if self.now is None else self.now
            if self.keyed or type(item) is int or (type(item) is str and len(item) <= MAX_LAST):
                stored["item"] = plain_json(item)
        return stored

    @classmethod
    def of(cls, name: str, stored: JSON) -> Place:
        """As it was stored; at its beginning where that is none."""
        place = cls(name)
        if not isinstance(stored, dict):
            return place
        count, total, inner = stored.get("done"), stored.get("total"), stored.get("inner")
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            return place
        place.keyed = "after" in stored
        place.at = (count, stored.get("after", stored.get("last")))
        place.total = total if isinstance(total, (int, float)) else None
        place.ended = stored.get("ended") is True
        place.item = stored.get("item")
        if isinstance(inner, dict):
            place.inner = {key: cls.of(key, one) for key, one in inner.items()}
        return place
