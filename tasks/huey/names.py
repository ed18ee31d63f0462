"""What a run says of its engine, its queue and its task, and which Huey objects there are. Imports no model.

djhuey makes its Huey while Django is still collecting the installed apps.
"""

from __future__ import annotations

from .types import HueyTask, Queue

#: What rows say of this engine.
NAME = "huey"

#: The project's Huey objects, by the name of their queue.
instances: dict[str, Queue] = {}


def name_of(task_class: HueyTask) -> str:
    """The name of a task's runs: its module and function, or the `run_name` that its decorator was given."""
    return str(getattr(task_class, "run_name", "") or f"{task_class.__module__}.{task_class.__name__}")


def queue_name(huey: Queue) -> str:
    """What rows say of a Huey instance: its name, of which a very long one (the path of a database) keeps its end."""
    return str(huey.name)[-100:]
