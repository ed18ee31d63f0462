"""Its worker: `celery -A benchmarks.peer worker -Q peer`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peer.settings")

app = Celery("peer", broker=os.environ.get("REDIS_URL"), backend=os.environ.get("REDIS_URL"))
app.conf.task_default_queue = "peer"
app.autodiscover_tasks()


@app.task(name="peer.speak", bind=True)
def speak(self: Any, gate: str, seconds: float, rate: float) -> int:
    """The twin of `benchmarks.speak`."""
    from celery_progress.websockets.backend import WebSocketProgressRecorder

    recorder = WebSocketProgressRecorder(self)
    count = round(seconds * rate)
    until = time.monotonic() + 120
    while not Path(gate).exists() and time.monotonic() < until:
        time.sleep(0.01)
    began = time.monotonic()
    for number in range(1, count + 1):
        now = f"{time.time():.6f}"
        recorder.set_progress(number, count, f"{now} {now}")
        time.sleep(max(began + number / rate - time.monotonic(), 0))
    return count


@app.task(name="peer.calls", bind=True)
def calls(self: Any, count: int = 200) -> list[float]:
    """Nanoseconds of each call of the WebSocket recorder."""
    from celery_progress.websockets.backend import WebSocketProgressRecorder

    recorder = WebSocketProgressRecorder(self)
    figures = []
    for number in range(count):
        began = time.perf_counter_ns()
        recorder.set_progress(number, count)
        figures.append(float(time.perf_counter_ns() - began))
    return figures
