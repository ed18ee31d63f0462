"""The work of a download, without a queue: what is fetched, saved, written, told; and what a second one does."""

from __future__ import annotations

import csv
import io
import os
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal

import openpyxl
import pytest
from django.core.management import CommandError, call_command
from django.db.models import Sum
from django.utils import timezone

import progress
from django_starter.processes.ports import free_port
from progress import Cancelled
from progress.active import activate, deactivate
from progress.flusher import Flusher
from progress.reporter import Reporter
from tasks import runs
from tasks.downloads import files, job, saving
from tasks.downloads.job import DownloadFailed, download
from tasks.downloads.models import ReportFile, Sales, SavedReport, Traffic
from tasks.downloads.report import Report, Row
from tasks.downloads.source import Limits, Source
from tasks.downloads.tasks import download_reports
from tasks.downloads.wanted import Wanted
from tasks.models import TaskRun
from tasks.runs.prune import prune
from tests.report_source import days, report_source

pytestmark = pytest.mark.django_db

QUICK = Limits(tries=3, first_pause=0.001, longest_pause=0.002)
FIRST, LAST = "2026-01-01", "2026-01-05"


@pytest.fixture
def source(settings):
    with report_source() as source:
        settings.DOWNLOAD_SOURCE_URL = source.url
        yield source


@pytest.fixture
def told(monkeypatch):
    """What the job logs, as (level, text)."""
    lines: list[tuple[str, str]] = []
    monkeypatch.setattr(progress, "log", lambda text, level="info": lines.append((level, text)))
    return lines


def wanted(*sellers: str, first: str = FIRST, last: str = LAST) -> Wanted:
    return Wanted.from_arguments(first, last, sellers, "Alice")


def content(run_id: str, kind: str) -> bytes:
    with files.storage().open(ReportFile.objects.get(run_id=run_id, kind=kind).name) as file:
        return file.read()


def table(run_id: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content(run_id, "csv").decode("utf-8-sig"))))


def test_figures_are_saved_in_two_tables_and_written_into_two_files(source):
    result = download(wanted("A", "B"), "run")
    count, units, revenue, views = source.sums(["A", "B"], FIRST, LAST)
    assert result["records"] == Sales.objects.count() == Traffic.objects.count() == count == 100
    assert Sales.objects.aggregate(u=Sum("units"), r=Sum("revenue")) == {"u": units, "r": revenue}
    assert Traffic.objects.aggregate(v=Sum("pageviews"))["v"] == views
    assert (result["days_done"], result["days_empty"], result["days_failed"]) == (10, 0, 0)
    assert result["launcher"] == "Alice"
    assert [file["filename"] for file in result["files"]] == [
        "A-and-1-more_2026-01-01_2026-01-05.csv",
        "A-and-1-more_2026-01-01_2026-01-05.xlsx",
    ]
    rows = table("run")
    assert [(row["Seller ID"], row["Day"]) for row in rows[::10]] == [(s, d) for s in "AB" for d in days(FIRST, LAST)]
    assert sum(Decimal(row["Revenue"]) for row in rows) == revenue
    sheet = openpyxl.load_workbook(io.BytesIO(content("run", "xlsx")), read_only=True).active
    cells = list(sheet.iter_rows(min_row=2, values_only=True))
    assert len(cells) == count
    assert sum(row[7] for row in cells) == units
    assert sum(Decimal(str(row[8])) for row in cells) == revenue
    assert sum(row[9] for row in cells) == views
    assert {str(row[1].date()) for row in cells} == set(days(FIRST, LAST))
    assert cells[0][2] == 'Lamp "0", größer'


def test_a_second_download_updates_and_never_doubles(source):
    download(wanted("A"), "one")
    source.figures = lambda seller, day: [("P-000", 1, Decimal("2.50"), 3), ("P-NEW", 4, Decimal("5.00"), 6)]
    assert download(wanted("A"), "two")["records"] == 10
    assert Sales.objects.count() == Traffic.objects.count() == 10  # what the source took back is gone
    assert set(Sales.objects.values_list("product_id", "units", "revenue")) == {
        ("P-000", 1, Decimal("2.50")),
        ("P-NEW", 4, Decimal("5.00")),
    }
    assert len(table("two")) == 10


def test_an_empty_day_is_no_failure(source):
    result = download(wanted("EMPTY", "A"), "run")
    assert (result["days_done"], result["days_empty"], result["days_failed"]) == (5, 5, 0)


def test_bad_rows_are_counted_and_do_not_delete_what_was_known(source):
    source.rows = 2
    Sales.objects.create(seller_id="BROKEN", day=FIRST, product_id="P-X", units=1, revenue=1)
    result = download(wanted("BROKEN"), "run")
    assert (result["records"], result["bad_rows"], result["days_failed"]) == (10, 10, 0)
    assert Sales.objects.filter(product_id="P-X").exists()


def test_some_failed_days_are_a_warning_and_only_those_are_fetched_again(source, told, monkeypatch):
    missing: list[int] = []
    monkeypatch.setattr(progress, "missing", missing.append)
    good = source.report
    source.report = lambda seller, day: "" if day == "2026-01-03" else good(seller, day)
    result = download(wanted("A", "GONE"), "one")
    assert (result["days_done"], result["days_failed"]) == (4, 6)
    assert {"report": "A 2026-01-03", "why": result["failed"][0]["why"]} == result["failed"][0]
    assert "columns are missing" in result["failed"][0]["why"]
    assert result["failed"][1] == {"report": "GONE 2026-01-01", "why": "The source answered 404 Not Found."}
    assert ("error", "GONE 2026-01-01 failed: The source answered 404 Not Found.") in told
    assert len(table("one")) == 40
    assert missing == [6]

    source.report = good
    source.asked.clear()
    again = download(wanted("A", "GONE"), "two", continues="one")
    assert set(source.asked) == {("A", "2026-01-03")} | {("GONE", day) for day in days(FIRST, LAST)}
    assert (again["records"], again["days_done"], again["days_failed"]) == (50, 5, 5)
    assert len(table("two")) == 50  # the files hold all of it


def test_a_day_that_failed_is_not_in_the_files_although_it_is_known_from_before(source):
    download(wanted("A"), "one")
    good = source.report
    source.report = lambda seller, day: "" if day == "2026-01-03" else good(seller, day)
    download(wanted("A"), "two")
    assert {row["Day"] for row in table("two")} == set(days(FIRST, LAST)) - {"2026-01-03"}
    assert Sales.objects.count() == 50


def test_nothing_at_all_is_a_failure(source):
    with pytest.raises(DownloadFailed, match=r"None of the 5 .* The first: The source answered 404"):
        download(wanted("GONE"), "run")
    assert not ReportFile.objects.exists()


def test_a_source_that_is_down_is_given_up_soon(source, told, monkeypatch):
    monkeypatch.setattr(job, "GIVE_UP_AFTER", 10)
    many = wanted("DOWN", first="2025-01-01", last="2025-12-31")
    with closing(Source(source.url, limits=QUICK)) as client, pytest.raises(DownloadFailed, match="None of the 365"):
        download(many, "run", source=client)
    assert sum(source.asked.values()) < 100
    assert any("the source is down" in text for _, text in told)


def test_what_was_saved_before_a_kill_is_not_fetched_again(source, monkeypatch):
    class Killed(BaseException):
        pass

    def dies(self):
        flushed = flush(self)
        if SavedReport.objects.count() >= 20:
            raise Killed
        return flushed

    flush = saving.Saver.flush
    monkeypatch.setattr(saving, "BATCH_ROWS", 30)
    monkeypatch.setattr(saving.Saver, "flush", dies)
    all_of_it = wanted("A", "B", last="2026-01-31")
    with pytest.raises(Killed):
        download(all_of_it, "run", attempt=1)
    monkeypatch.setattr(saving.Saver, "flush", flush)
    saved = saving.saved_by("run")
    assert 20 <= len(saved) < 62
    source.asked.clear()
    result = download(all_of_it, "run", attempt=2)
    assert not {(seller, str(day)) for seller, day in saved} & set(source.asked)
    assert result["records"] == Sales.objects.count() == 620
    assert Sales.objects.aggregate(r=Sum("revenue"))["r"] == source.sums(["A", "B"], FIRST, "2026-01-31")[2]
    assert len(table("run")) == 620


class Silence:
    def publish(self, *_, **__):
        raise ConnectionError

    def poll(self, *_):
        raise ConnectionError


def test_an_attempt_that_lost_its_run_writes_nothing(source):
    run = TaskRun.objects.get(pk=download_reports.delay(**wanted("A").as_arguments()).id)
    runs.claim(run.pk, "w1")
    runs.lost(run.pk, "w1", send_again=False)
    runs.claim(run.pk, "w2")
    token = activate(Reporter(run.pk, 1, Silence(), Flusher()))
    try:
        with pytest.raises(Cancelled):
            download(wanted("A"), run.pk, attempt=1)
    finally:
        deactivate(token)
    assert not Sales.objects.exists()
    assert not SavedReport.objects.exists()
    assert not ReportFile.objects.exists()


def test_a_cancel_ends_it_within_a_moment(source):
    source.delay = 5
    reporter = Reporter("", 0, Silence(), Flusher())
    token = activate(reporter)
    reporter.attention = True
    try:
        reporter.cancel()
        with pytest.raises(Cancelled):
            download(wanted("A"), "run")
    finally:
        deactivate(token)


def test_many_rows_of_one_report_are_saved_and_replaced():
    def report(count: int) -> Report:
        return Report([Row(f"P{number}", "n", "s", "b", "v", 1, Decimal(1), 1) for number in range(count)], 0)

    saving.save("one", {("A", date(2026, 1, 1)): report(5_000)})
    saving.save("two", {("A", date(2026, 1, 1)): report(10), ("B", date(2026, 1, 1)): report(3)})
    assert Sales.objects.count() == Traffic.objects.count() == 13


# --- telling ----------------------------------------------------------------------------------------------------------


#: Apprise imports all it can speak, and some of that is old.
OLD = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@OLD
def test_people_outside_hear_of_the_begin_and_of_the_end(source, settings, monkeypatch):
    sent: list[tuple[str, str]] = []
    settings.NOTIFY_URLS = ["json://127.0.0.1:9/"]
    import apprise

    def notify(self, title, body):
        sent.append((title, body))
        return True

    monkeypatch.setattr(apprise.Apprise, "notify", notify)
    download(wanted("A"), "run", attempt=1)
    assert sent == [
        ("Download started", "Alice: A, 2026-01-01 to 2026-01-05"),
        ("Download finished", sent[1][1]),
    ]
    assert "Alice: A, 2026-01-01 to 2026-01-05\n50 records, 5 reports, " in sent[1][1]


@OLD
def test_a_notification_that_fails_is_a_log_line(source, settings, told):
    settings.NOTIFY_URLS = ["json://user:secret@127.0.0.1:9/", "nonsense"]
    assert download(wanted("A"), "run")["records"] == 50
    warnings = [text for level, text in told if level == "warning"]
    assert any("Number 1 of NOTIFY_URLS (json) was not reached" in text for text in warnings)
    assert any("Number 2 of NOTIFY_URLS is no address" in text for text in warnings)
    assert "secret" not in str(told)


# --- keeping ----------------------------------------------------------------------------------------------------------


def test_files_expire_and_their_rows_with_them(source):
    download(wanted("A"), "old")
    download(wanted("A"), "new")
    old = ReportFile.objects.filter(run_id="old")
    names = list(old.values_list("name", flat=True))
    old.update(expires_at=timezone.now() - timedelta(seconds=1))
    SavedReport.objects.filter(run_id="old").update(saved_at=timezone.now() - timedelta(days=31))
    assert list(files.ready(["old", "new"])) == ["new"]
    prune(timedelta(days=30))
    assert not any(files.storage().exists(name) for name in names)
    assert set(ReportFile.objects.values_list("run_id", flat=True)) == {"new"}
    assert set(SavedReport.objects.values_list("run_id", flat=True)) == {"new"}
    assert all(files.storage().exists(file.name) for file in ReportFile.objects.all())


def test_files_are_private_on_the_disk(source, settings):
    download(wanted("A"), "run")
    path = files.storage().path(ReportFile.objects.get(kind="csv").name)
    assert os.stat(path).st_mode & 0o077 == 0
    assert os.stat(os.path.dirname(path)).st_mode & 0o077 == 0
    assert not path.startswith((str(settings.STATIC_ROOT), str(settings.BASE_DIR / "static")))


def test_a_storage_that_fails_to_delete_is_tried_again(source, monkeypatch, caplog):
    download(wanted("A"), "run")
    ReportFile.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    def fails(self, name):
        raise OSError("read-only")

    with monkeypatch.context() as broken:
        broken.setattr(type(files.storage()), "delete", fails)
        assert files.prune(timedelta(days=30)) == 0
    assert ReportFile.objects.count() == 2
    assert files.prune(timedelta(days=30)) == 2


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_does_the_same_without_a_queue(source, capsys):
    call_command("download", FIRST, LAST, "A", "B", "--launcher", "me")
    out, err = capsys.readouterr()
    assert "100 records saved" in out
    paths = [line for line in out.splitlines() if line.endswith((".csv", ".xlsx"))]
    assert len(paths) == 2
    assert all(os.path.exists(path) for path in paths)
    assert "10 reports for me" in err
    assert not SavedReport.objects.exists()  # the next one fetches all of it again
    assert not TaskRun.objects.exists()


def test_the_command_goes_on_where_it_was_interrupted(source, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as now:
        now.setattr(files, "write", interrupted)
        with pytest.raises(CommandError, match="goes on where this one stood"):
            call_command("download", FIRST, LAST, "A", "--launcher", "me")
    source.asked.clear()
    call_command("download", FIRST, LAST, "A", "--launcher", "somebody else")
    assert not source.asked
    assert "50 records saved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["2026-02-30", LAST, "A", "--launcher", "me"], "must be a day that exists"),
        ([FIRST, LAST, "../x", "--launcher", "me"], "A seller id has"),
        ([FIRST, LAST, "GONE", "--launcher", "me"], "None of the 5 reports"),
    ],
)
def test_the_command_says_what_is_wrong(source, arguments, said):
    with pytest.raises(CommandError, match=said):
        call_command("download", *arguments)


def test_the_command_says_at_once_that_there_is_no_server(settings):
    settings.DOWNLOAD_SOURCE_URL = f"http://127.0.0.1:{free_port()}/sample-source/{{seller_id}}/{{day}}.csv"
    with pytest.raises(CommandError) as said:
        call_command("download", FIRST, LAST, "A", "--launcher", "me")
    for word in (settings.DOWNLOAD_SOURCE_URL.split("/sample")[0], "./start_dev.sh", "PORT", "DOWNLOAD_SOURCE_URL"):
        assert word in str(said.value)
    assert not SavedReport.objects.exists()
