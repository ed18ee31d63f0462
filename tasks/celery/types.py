"""What Celery's objects are called here where its types know less of them than we ask."""

from __future__ import annotations

from typing import Any, TypeAlias

#: A registered task: ours, one of Celery's own class, or what a message says of an unknown one.
CeleryTask: TypeAlias = Any
