"""Short names for the shell: `from django_starter.tasks import demo_task`."""

from tasks.tasks import demo_task, long_running_task

__all__ = ["demo_task", "long_running_task"]
