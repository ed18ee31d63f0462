"""The smallest job that shows all of a report: steps, messages, a log and a result."""

from __future__ import annotations

import time

import progress


def demo() -> str:
    """Three short steps; returns a greeting."""
    progress.set(total=4)
    with progress.step("Prepare"):
        time.sleep(0.2)
    with progress.step("Work", weight=2):
        for _ in progress.track(range(20), unit="pieces"):
            time.sleep(0.02)
    with progress.step("Tidy up"):
        time.sleep(0.2)
    progress.log("All done.")
    return "Hello from the worker!"
