"""The client of the source: what it tries again, what it refuses, and that nothing holds it for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from tasks.downloads.source import AT_ONCE, WINDOW, Limits, Source, _retry_after, check_template, fetch_all
from tests.report_source import HEADER, report_source

DAY = date(2026, 1, 31)
GOOD = f"{HEADER}\n2026-01-31,Lamp,Store,Brand,Venture,P-1,3,12.50,40\n"
QUICK = Limits(first_pause=0.001, longest_pause=0.002)

Answer = Callable[[httpx.Request], httpx.Response]


def source_that(answer: Answer, limits: Limits = QUICK, url: str = "http://source.test/{seller_id}/{day}") -> Source:
    return Source(url, limits=limits, transport=httpx.MockTransport(answer))


def failing(times: int, how: Callable[[], httpx.Response]) -> tuple[list[str], Answer]:
    """Answers `how()` so many times, then well; and the addresses that were asked for."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return how() if len(asked) <= times else httpx.Response(200, text=GOOD)

    return asked, answer


def silent() -> httpx.Response:
    raise httpx.ReadTimeout("")


def cut() -> httpx.Response:
    raise httpx.RemoteProtocolError("peer closed connection")


@pytest.mark.parametrize(
    "how", [lambda: httpx.Response(500), lambda: httpx.Response(503), lambda: httpx.Response(429), silent, cut]
)
def test_what_may_pass_is_tried_again_and_each_retry_is_told(how):
    asked, answer = failing(3, how)
    told: list[str] = []
    with closing(source_that(answer)) as source:
        source._say = lambda text, level: told.append(text)
        fetched = source.fetch("A", DAY)
    assert fetched.error is None
    assert fetched.report and fetched.report.rows[0].product_id == "P-1"
    assert asked == ["http://source.test/A/2026-01-31"] * 4
    assert [line.split(" Try ")[1][0] for line in told] == ["2", "3", "4"]
    assert all(line.startswith("A 2026-01-31: ") for line in told)


def test_a_source_that_stays_broken_is_given_up():
    asked, answer = failing(99, lambda: httpx.Response(500))
    with closing(source_that(answer)) as source:
        fetched = source.fetch("A", DAY)
    assert str(fetched.error) == "The source answered 500. After 12 tries it was given up."
    assert len(asked) == 12


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_will_not_pass_is_asked_once(status):
    asked, answer = failing(99, lambda: httpx.Response(status))
    with closing(source_that(answer)) as source:
        assert f"The source answered {status} " in str(source.fetch("A", DAY).error)
    assert len(asked) == 1


def test_retry_after_is_honoured():
    _, answer = failing(1, lambda: httpx.Response(429, headers={"Retry-After": "1"}))
    with closing(source_that(answer)) as source:
        began = time.monotonic()
        assert source.fetch("A", DAY).report
    assert 1.0 <= time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("7", 7),
        ("-7", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(text, seconds):
    assert _retry_after(text) == seconds


def test_retry_after_may_be_a_moment_to_come():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert _retry_after(soon) == pytest.approx(60, abs=3)


@pytest.mark.parametrize(
    "where",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://user:password@169.254.169.254/",
        "http://source.test:6379/",
        "http://source.test.evil.example/",
        "//other.test/x",
        "ftp://source.test/x",
    ],
)
def test_a_redirect_to_another_place_is_refused_and_not_asked(where):
    asked, answer = failing(99, lambda: httpx.Response(302, headers={"Location": where}))
    with closing(source_that(answer)) as source:
        error = str(source.fetch("A", DAY).error)
    assert "redirects to" in error
    assert "not followed" in error
    assert "password" not in error
    assert asked == ["http://source.test/A/2026-01-31"]


def test_a_redirect_on_the_same_host_is_followed_but_not_for_ever():
    asked, answer = failing(2, lambda: httpx.Response(302, headers={"Location": "/other"}))
    with closing(source_that(answer)) as source:
        assert source.fetch("A", DAY).report
        assert asked[-1] == "http://source.test/other"
    asked, answer = failing(99, lambda: httpx.Response(302, headers={"Location": "/other"}))
    with closing(source_that(answer)) as source:
        assert "more than 3 times" in str(source.fetch("A", DAY).error)


def test_html_is_no_report():
    _, answer = failing(9, lambda: httpx.Response(200, html="<p>Sign in"))
    with closing(source_that(answer)) as source:
        assert str(source.fetch("A", DAY).error) == "The source answered text/html; charset=utf-8 instead of CSV."


def test_a_seller_cannot_leave_its_place_in_the_address():
    asked, answer = failing(0, silent)
    with closing(source_that(answer)) as source:
        source.fetch("../../etc?x#y", DAY)
    assert asked == ["http://source.test/..%2F..%2Fetc%3Fx%23y/2026-01-31"]


@pytest.mark.parametrize(
    ("seller", "limits", "said"),
    [
        ("ENDLESS", Limits(whole=0.5), "It did not end within 0.5 s."),
        ("HUGE", Limits(size=300_000), "It is larger than 300,000 bytes."),
        ("HUGE", Limits(), "It is larger than 10,000,000 bytes."),
    ],
)
def test_a_response_that_never_ends_is_ended(seller, limits, said):
    with report_source() as server, closing(Source(server.url, limits=limits)) as source:
        began = time.monotonic()
        assert said in str(source.fetch(seller, DAY).error)
        assert time.monotonic() - began < 10


def test_a_source_that_does_not_listen_is_named_without_its_password():
    limits = Limits(tries=2, first_pause=0.001)
    with closing(Source("http://user:secret@127.0.0.1:9/{seller_id}/{day}", limits=limits)) as source:
        error = str(source.fetch("A", DAY).error)
    assert error.startswith("The source cannot be reached")
    assert "secret" not in error


def test_eight_at_once_and_no_more():
    todo = [(f"S{number}", DAY) for number in range(40)]
    with report_source() as server, closing(Source(server.url)) as source:
        server.delay = 0.02
        found = [fetched for fetched in fetch_all(source, todo) if fetched]
        assert sorted((one.seller_id, one.day) for one in found) == sorted(todo)
        assert 2 <= server.most_at_once <= AT_ONCE


def test_no_more_is_asked_for_than_can_be_saved_soon():
    taken = 0

    def todo():
        nonlocal taken
        for number in range(1_000):
            taken += 1
            yield f"S{number}", DAY

    with report_source() as server, closing(Source(server.url)) as source:
        arriving = fetch_all(source, todo())
        for _ in range(5):
            next(arriving)
        assert taken <= WINDOW + 5
        arriving.close()


def test_ending_early_waits_for_nothing():
    with report_source() as server, closing(Source(server.url)) as source:
        server.delay = 3.0
        arriving = fetch_all(source, [("A", DAY)] * 20)
        assert next(arriving) is None  # nothing yet: a chance to look up
        began = time.monotonic()
        arriving.close()
        assert time.monotonic() - began < 1


def test_a_pause_ends_when_the_download_ends():
    _, answer = failing(99, lambda: httpx.Response(429, headers={"Retry-After": "100"}))
    source = source_that(answer)
    arriving = fetch_all(source, [("A", DAY)])
    assert next(arriving) is None
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("download")]
    arriving.close()
    for thread in threads:
        thread.join(2)
        assert not thread.is_alive()
    source.close()


@pytest.mark.parametrize(
    "template",
    [
        "",
        "ftp://x/{seller_id}/{day}",
        "file:///{seller_id}{day}",
        "http://x/{day}",
        "http://x/{seller_id}",
        "//x/{day}",
    ],
)
def test_a_template_is_http_and_names_seller_and_day(template):
    with pytest.raises(ValueError, match="DOWNLOAD_SOURCE_URL must"):
        check_template(template)
