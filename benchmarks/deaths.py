"""Attempts that are killed: how much of their work has to be done again? `python -m benchmarks.deaths 50`

Each is a process of its own that works through `resumable`, an item each millisecond, until it is killed at a random
moment. Lost is the time from the end of the last item that its checkpoint covers to the end of the last one that was
done. Prints the seconds of each, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import django

#: Attempts that run at the same time.
AT_ONCE = 5


def main() -> None:
    """Kill so many."""
    django.setup()
    from django.db import connection

    from benchmarks.project.tasks import items
    from tasks import runs
    from tasks.models import TaskRun

    folder = Path(tempfile.mkdtemp(prefix="deaths-"))
    lost: list[float] = []
    for _ in range(int(sys.argv[1]) // AT_ONCE):
        ids = [items.apply_async(("", 0), queue="nobody").id for _ in range(AT_ONCE)]
        connection.close()
        children = [_fork(task_id, folder / task_id) for task_id in ids]
        while not all((folder / task_id).exists() for task_id in ids):
            time.sleep(0.01)
        time.sleep(1)
        for child in children:
            time.sleep(random.uniform(0, 0.5))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for task_id in ids:
            done = [float(line) for line in (folder / task_id).read_text().split()]
            stored = TaskRun.objects.get(pk=task_id).checkpoint or {"loops": {"": {"done": 0}}}
            covered = stored["loops"][""]["done"]
            lost.append(done[-1] - done[covered - 1] if covered else done[-1] - done[0])
            runs.end(task_id, "REVOKED")
    print(json.dumps(lost))


def _fork(task_id: str, path: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        from benchmarks.project.tasks import items
        from progress.active import activate
        from progress.record import get_record
        from progress.reporter import Reporter
        from tasks import resume, runs

        run = runs.claim(task_id, "w")
        assert run is not None
        reporter = Reporter(run.pk, run.attempt, get_record())
        resume.begin(run, reporter)
        activate(reporter.open())
        items.run(str(path), 60_000)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
