"""The backend: what is enqueued is a run of Celery's, under the name of its function.

It is made where `@task` is written, maybe before Django's models are there, so what knows those is imported in its
methods.
"""

from __future__ import annotations

from celery import current_app

from . import api


class CeleryBackend(api.BaseTaskBackend):
    """See Django's `BaseTaskBackend`. OPTIONS: `max_attempts` (3), how many workers may die in a run."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def enqueue(self, task: api.DjangoTask, args: object, kwargs: object) -> api.DjangoResult:
        """A stored run, in the caller's transaction; its message goes out on the commit. Raises `runs.NotAccepted`."""
        self.validate_task(task)
        if current_app.conf.task_always_eager:
            return self._immediate().enqueue(task, args, kwargs)
        from .start import enqueue

        return enqueue(self, task, args, kwargs)

    def get_result(self, result_id: str) -> api.DjangoResult:
        """Of a run that this backend has enqueued. Raises `TaskResultDoesNotExist` for any other."""
        from .results import find

        return find(str(result_id))

    def _immediate(self) -> api.Backend:
        return api.ImmediateBackend(self.alias, {"QUEUES": list(self.queues), "OPTIONS": self.options})
