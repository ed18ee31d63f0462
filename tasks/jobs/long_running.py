"""A job that only takes time: something to look at."""

from __future__ import annotations

import time

import progress


def long_running(steps: int, delay: float) -> dict[str, float]:
    """Take `steps` steps of `delay` seconds each; returns how many and how long it took, in seconds."""
    began = time.monotonic()
    progress.log(f"Starting {steps} steps of {delay:g} s.")
    for step in progress.track(range(1, steps + 1), total=steps, unit="steps"):
        time.sleep(delay)
        if step % max(steps // 4, 1) == 0:
            progress.log(f"Step {step} of {steps} is done.")
    return {"steps": steps, "seconds": round(time.monotonic() - began, 2)}
