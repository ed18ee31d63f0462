"""What `TaskResult.errors` names where no exception of a task is the reason."""


class TaskFailed(Exception):
    """The task's own exception cannot be named: its class is in no module."""


class TaskCancelled(Exception):
    """The run was cancelled (REVOKED)."""


class TaskExpired(Exception):
    """The run was not started before its time was over (REVOKED)."""


class WorkerLost(Exception):
    """Its worker died in it as often as is allowed."""
