"""The relay's worker: publishes frames of our size at a rate, with the least that a task could do for it.

One PUBLISH on a kept connection: `python -m benchmarks.publisher URL CHANNEL GATE SECONDS RATE [PADDING]`
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import redis

FRAME = {
    "v": 1,
    "type": "update",
    "task_id": "0" * 36,
    "epoch": "0" * 8,
    "seq": 0,
    "state": "STARTED",
    "attempt": 1,
    "current": 0,
    "total": 1000,
    "percent": 12.34,
    "unit": "",
    "message": "",
    "step": None,
    "steps": [],
    "rate": 50.01,
    "eta": 12.3,
    "waiting": None,
    "cancel_requested": False,
    "ts": 0.0,
}


def main(url: str, channel: str, gate: Path, seconds: float, rate: float, padding: int = 0) -> None:
    """Publish until `seconds` have passed, then one final frame. `padding`: characters beside the numbers."""
    client = redis.Redis.from_url(url)
    client.ping()
    while not gate.exists():
        time.sleep(0.01)
    count = round(seconds * rate)
    began = time.monotonic()
    for number in range(1, count + 1):
        state = "SUCCESS" if number == count else "STARTED"
        now = round(time.time(), 6)
        frame = {**FRAME, "seq": number, "state": state, "current": number, "message": f"{now} {now}", "ts": now}
        if padding:
            frame["log"] = "x" * padding
        client.publish(channel, json.dumps(frame, separators=(",", ":")))
        time.sleep(max(began + number / rate - time.monotonic(), 0))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *map(float, sys.argv[4:6]), *map(int, sys.argv[6:]))
