"""A process that starts tasks of one system and says how long that took: `python -m benchmarks.starter MODULE …`.

It runs in the interpreter of the system that is measured, so it knows nothing of the lab. A line of JSON a command:

    run COUNT        start so many, wait until their ends are recorded
    start COUNT THREADS   start so many that no worker takes, from so many threads
    many COUNT       start so many at once, in the system's own way
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any


def run(system: Any, count: int) -> dict[str, float]:
    """Seconds until all are accepted, and until the last end is recorded."""
    before = system.ended()
    began = time.perf_counter()
    for number in range(count):
        system.start(number)
    accepted = time.perf_counter() - began
    while system.ended() - before < count:
        if time.perf_counter() - began > 90:
            raise SystemExit(f"{system.ended() - before} of {count} have ended after 90 s.")
        time.sleep(0.05)
    return {"accepted": accepted, "ended": time.perf_counter() - began}


def start(system: Any, count: int, threads: int) -> dict[str, float]:
    """Seconds until all are accepted."""
    began = time.perf_counter()
    if threads == 1:
        for number in range(count):
            system.start_unheard(number)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(system.start_unheard, range(count)))
    return {"accepted": time.perf_counter() - began}


def many(system: Any, count: int) -> dict[str, float]:
    """Seconds until all are accepted."""
    began = time.perf_counter()
    system.start_many(count)
    return {"accepted": time.perf_counter() - began}


def main() -> None:
    """Commands from the standard input, until it ends."""
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        import django

        django.setup()
    system = import_module(sys.argv[1])
    system.start_unheard(0)  # what is made once is made before the clock runs
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        done = {"run": run, "start": start, "many": many}[command](system, *map(int, numbers))
        print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
