"""What a start gives back: Huey's result handle, which asks the run's row."""

from __future__ import annotations

import time

from huey.api import Result
from huey.constants import EmptyData
from huey.exceptions import ResultTimeout
from huey.utils import Error

from tasks.models import State, TaskRun

from . import values


class RunResult(Result):
    """`.get()` of a run. What it answers is not forgotten by being read, and None is an answer as well."""

    _result: object

    def _get(self, preserve: bool = False) -> object:
        if self._result is EmptyData:
            run = TaskRun.objects.filter(pk=self.id).first()
            if run is None:
                return super()._get(preserve)
            if run.is_final:
                self._result = outcome(run)
        return self._result

    def get_raw_result(
        self,
        blocking: bool = False,
        timeout: float | None = None,
        backoff: float = 1.15,
        max_delay: float = 1.0,
        revoke_on_timeout: bool = False,
        preserve: bool = False,
    ) -> object:
        """The value, or Huey's `Error`. Raises `ResultTimeout`."""
        until = None if timeout is None else time.monotonic() + timeout
        delay = 0.05
        while (found := self._get(preserve)) is EmptyData:
            if not blocking:
                return None
            left = delay if until is None else min(delay, until - time.monotonic())
            if left <= 0:
                if revoke_on_timeout:
                    self.revoke()
                raise ResultTimeout("timed out waiting for result")
            time.sleep(left)
            delay = min(delay * backoff, max_delay)
        return found


def outcome(run: TaskRun) -> object:
    """The result of an ended run as Huey hands it on: its value, or an `Error`."""
    if run.state == State.SUCCESS:
        return values.decode(run.result)
    options = run.message.get("options") or {}
    said = {"error": values.shown(run.error), "retries": options.get("retries", 0), "traceback": run.traceback}
    return Error({**said, "task_id": run.pk})
