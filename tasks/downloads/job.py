"""The work of a download: fetch what is missing, save it, make the files. Plain functions, testable without a queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TypedDict

from django.conf import settings

import progress
from progress.messages import Level
from tasks.runs.notify import Messenger

from . import files, saving
from .source import Source, Unreachable, fetch_all
from .wanted import Wanted

#: Failed reports that the result names; the others are counted. A result is a JSON text in a row.
MAX_NAMED = 100
#: This many reports in a row for which every try failed: the source is down, and the rest would fail like them, each
#: after a minute.
GIVE_UP_AFTER = 40
#: Share of the bar that fetching has; the rest is for the files.
FETCH_WEIGHT, WRITE_WEIGHT = 9, 1


class Failed(TypedDict):
    """A report that could not be fetched, and why."""

    report: str
    why: str


class Result(saving.Totals):
    """What a download ends with. `failed` names some of the reports that `days_failed` counts."""

    launcher: str
    days_failed: int
    failed: list[Failed]
    seconds: float
    files: list[files.Shown]


class DownloadFailed(Exception):
    """Not one report could be fetched."""


def download(
    wanted: Wanted, run_id: str, *, attempt: int = 0, continues: str | None = None, source: Source | None = None
) -> Result:
    """Fetch and save what `run_id` has not saved yet, and make the files; returns the result.

    `continues`: the id of an earlier run for the same reports; what that one saved is not fetched again. Raises
    `DownloadFailed` when there is nothing to save, `progress.Cancelled` in a cancelled or stale attempt.
    """
    began = time.monotonic()
    if continues:
        saving.take_over(run_id, continues, wanted)
    saved = saving.saved_by(run_id)
    progress.set(total=FETCH_WEIGHT + WRITE_WEIGHT)
    progress.log(f"{len(wanted):,} reports for {wanted.launcher}: {_about(wanted)}.")
    if saved:
        progress.log(f"{len(saved):,} of them are saved already.")
    messenger = Messenger(settings.NOTIFY_URLS)
    if attempt <= 1 and not saved:
        messenger.send("Download started", f"{wanted.launcher}: {_about(wanted)}")
    source = source or Source(settings.DOWNLOAD_SOURCE_URL, _line_of_this_task())
    with closing(source), progress.step("Fetch and save", weight=FETCH_WEIGHT):
        failed = _fetch(wanted, run_id, saved, source)
    if not saved:
        reason = next(iter(failed.values()))
        messenger.send("Download failed", f"{wanted.launcher}: {_about(wanted)}\n{reason}")
        _log_problems(messenger)
        raise DownloadFailed(f"None of the {len(wanted):,} reports could be fetched. The first: {reason}")
    totals = saving.totals(run_id)
    with progress.step("Write the files", weight=WRITE_WEIGHT):
        made = files.write(wanted, run_id, attempt, saved, totals["records"])
    result: Result = {
        "launcher": wanted.launcher,
        **totals,
        "days_failed": len(failed),
        "failed": [
            {"report": f"{seller_id} {day}", "why": why} for (seller_id, day), why in sorted(failed.items())[:MAX_NAMED]
        ],
        "seconds": round(time.monotonic() - began, 1),
        "files": [files.shown(file) for file in made],
    }
    summary = _summary(result)
    progress.set(len(wanted), len(wanted), summary, "reports")
    progress.missing(len(failed))
    if failed:
        progress.log(f"{len(failed):,} reports could not be fetched. The run's page can fetch those again.", "warning")
    messenger.send("Download finished", f"{wanted.launcher}: {_about(wanted)}\n{summary}, {result['seconds']:g} s")
    _log_problems(messenger)
    return result


def _fetch(wanted: Wanted, run_id: str, saved: set[saving.Key], source: Source) -> dict[saving.Key, str]:
    """Fetch and save what is not in `saved`, which grows; returns the reports that failed, and why."""
    failed: dict[saving.Key, str] = {}
    before = frozenset(saved)
    todo = (key for key in wanted if key not in before)
    saver = saving.Saver(run_id)
    rows = unreachable = 0
    progress.set(len(saved), len(wanted), unit="reports")
    with closing(fetch_all(source, todo)) as arriving:
        for fetched in arriving:
            if fetched is not None and fetched.report is not None:
                saver.add(fetched.seller_id, fetched.day, fetched.report)
                rows += len(fetched.report.rows)
                unreachable = 0
            elif fetched is not None:
                unreachable = unreachable + 1 if isinstance(fetched.error, Unreachable) else 0
                failed[fetched.seller_id, fetched.day] = str(fetched.error)
                progress.log(f"{fetched} failed: {fetched.error}", "error")
            if saver.due:
                saved |= saver.flush()
            progress.set(len(saved) + len(failed), message=_now(rows, source))
            if unreachable >= GIVE_UP_AFTER:
                break
    saved |= saver.flush()
    if unreachable >= GIVE_UP_AFTER:
        progress.log(f"{unreachable} reports in a row could not be reached: the source is down.", "error")
        for key in wanted:
            if key not in saved:
                failed.setdefault(key, "Not tried: the source was down.")
    progress.set(len(saved) + len(failed))
    return failed


def _now(rows: int, source: Source) -> str:
    """What is being done, in a line: how much so far, and what is under way."""
    under_way = list(source.active)
    more = f" and {len(under_way) - 1} more" if len(under_way) > 1 else ""
    fetching = f" · {under_way[0]}{more}" if under_way else ""
    return f"{rows:,} rows, {source.bytes / 1e6:,.1f} MB{fetching}"


def _about(wanted: Wanted) -> str:
    first, *others = wanted.sellers
    more = f" and {len(others)} more" if others else ""
    return f"{first}{more}, {wanted.start} to {wanted.end}"


def _summary(result: Mapping[str, object]) -> str:
    parts = [f"{result['records']:,} records", f"{result['days_done']:,} reports"]
    parts += [
        f"{result[name]:,} {word}"
        for name, word in (("days_empty", "empty"), ("days_failed", "failed"), ("bad_rows", "bad rows"))
        if result[name]
    ]
    return ", ".join(parts)


def _line_of_this_task() -> Callable[[str, Level], None]:
    """Writes into the log of the task that runs here, called from any thread."""
    reporter = progress.current()

    def say(text: str, level: Level) -> None:
        if reporter is not None:
            reporter.write_line(text, level)

    return say


def _log_problems(messenger: Messenger) -> None:
    for problem in messenger.wait():
        progress.log(f"Not everybody was told: {problem}", "warning")
