"""What huey's objects are called here: huey has no types. Imports nothing of it."""

from __future__ import annotations

from typing import Any, TypeAlias

#: Its queue, a `Huey`.
Queue: TypeAlias = Any
#: Its `Task`, the class of one, or what is made of several: a group, a chord.
HueyTask: TypeAlias = Any
#: Its handle of a result, or a list of them.
HueyResult: TypeAlias = Any
#: A process, thread or greenlet of its consumer, and what runs in it.
Process: TypeAlias = Any
