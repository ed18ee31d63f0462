"""Where reports come from: an HTTP server, asked by several threads through one pool of connections."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from progress.messages import Level

from .report import BadReport, Report, read

if TYPE_CHECKING:  # else where it is used: no other process than one that downloads pays for it
    import httpx

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
#: Requests at the same time: as many as a polite client makes, and enough to hide a latency of 100 ms.
AT_ONCE = 8
#: Reports that are asked for or wait to be saved: while some are saved, no thread has to wait for work.
WINDOW = 2 * AT_ONCE
#: Seconds after which `fetch_all` gives its caller a chance to look up, although nothing has arrived.
TICK = 0.25
#: Redirects that are followed, within the source's own host.
MAX_REDIRECTS = 3
#: Statuses after which it is tried again; every 5xx is one as well.
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient a source's client is. Times in seconds, sizes in bytes."""

    #: Tries for a report. With a source that refuses 30 % of all requests, one in 10⁶ reports is given up.
    tries: int = 12
    #: The first pause is at most this long, each further one twice as much, up to `longest_pause`.
    first_pause: float = 0.25
    longest_pause: float = 10.0
    #: A Retry-After may make a pause longer, up to here.
    longest_retry_after: float = 120.0
    connect: float = 5.0
    #: Silence within a response.
    read: float = 15.0
    #: The whole of a response: one that trickles for ever is never silent.
    whole: float = 60.0
    #: A report of 100,000 products has 8 MB.
    size: int = 10_000_000


class Stopped(Exception):
    """The download ends; nobody waits for this report any more."""


class _Again(Exception):
    """It may work at the next try. `after`: seconds that the source asked us to wait."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


class Unreachable(BadReport):
    """Every try failed, and not because of this report."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one report: `report`, or `error`."""

    seller_id: str
    day: date
    report: Report | None = None
    error: BadReport | None = None

    def __str__(self) -> str:
        return f"{self.seller_id} {self.day}"


class Source:
    """A client for the reports at `template`, an http(s) address with `{seller_id}` and `{day}`.

    `say(text, level)` is told of every retry and every bad row, by any thread. Raises ValueError for a bad template.
    """

    def __init__(
        self,
        template: str,
        say: Callable[[str, Level], None] = lambda text, level: None,
        *,
        limits: Limits | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx

        check_template(template)
        self._template = template
        self._say = say
        self._limits = limits or Limits()
        self._stopping = threading.Event()
        #: What is being fetched now, in the order in which it began.
        self.active: dict[str, None] = {}
        #: Bytes of all bodies so far.
        self.bytes = 0
        self._lock = threading.Lock()
        self._client = httpx.Client(
            transport=transport,
            timeout=httpx.Timeout(self._limits.read, connect=self._limits.connect, pool=None),
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            headers={"Accept": "text/csv", "User-Agent": "django_starter"},
            # A proxy from the environment does not know our localhost.
            trust_env=urlsplit(template).hostname not in THIS_MACHINE,
        )

    def fetch(self, seller_id: str, day: date) -> Fetched:
        """Get one report, however many tries that takes. Raises only `Stopped`."""
        label = f"{seller_id} {day}"
        self.active[label] = None
        try:
            return Fetched(seller_id, day, report=self._try(self._address(seller_id, day), day, label))
        except BadReport as error:
            return Fetched(seller_id, day, error=error)
        finally:
            self.active.pop(label, None)

    def stop(self) -> None:
        """End every pause, try and response at its next step."""
        self._stopping.set()

    def close(self) -> None:
        """Give the connections back."""
        self.stop()
        self._client.close()

    def _address(self, seller_id: str, day: date) -> str:
        return self._template.replace("{seller_id}", quote(seller_id, safe="")).replace("{day}", day.isoformat())

    def _try(self, url: str, day: date, label: str) -> Report:
        limits = self._limits
        tried = 1
        while True:
            if self._stopping.is_set():
                raise Stopped
            try:
                return self._get(url, day, label)
            except _Again as why:
                if tried >= limits.tries:
                    raise Unreachable(f"{why} After {tried} tries it was given up.") from None
                # Full jitter, so that the threads do not come back together.
                pause = min(limits.first_pause * 2 ** (tried - 1), limits.longest_pause)
                pause *= random.random()
                if why.after is not None:
                    pause = min(why.after, limits.longest_retry_after)
                tried += 1
                self._say(f"{label}: {why} Try {tried} in {pause:.1f} s.", "info")
                self._stopping.wait(pause)

    def _get(self, url: str, day: date, label: str) -> Report:
        import httpx

        try:
            request = self._client.build_request("GET", url)
            for _ in range(MAX_REDIRECTS + 1):
                with closing(self._client.send(request, stream=True)) as response:
                    if response.next_request is None:
                        return self._read(response, day, label)
                    request = _same_host(request, response.next_request)
        except (httpx.TransportError, httpx.StreamError) as error:
            raise _Again(f"{_in_words(error)}.") from None
        except httpx.DecodingError:
            raise BadReport("Its compression is broken.") from None
        except (httpx.InvalidURL, UnicodeError) as error:
            raise BadReport(f"The source redirects to what is no address: {error}.") from None
        raise BadReport(f"The source redirects more than {MAX_REDIRECTS} times.")

    def _read(self, response: httpx.Response, day: date, label: str) -> Report:
        status = response.status_code
        if status == TOO_MANY or status >= 500:
            raise _Again(f"The source answered {status}.", _retry_after(response.headers.get("Retry-After")))
        if status == 204:
            return Report([], 0)
        if status != 200:
            raise BadReport(f"The source answered {status} {response.reason_phrase}.".replace(" .", "."))
        if "html" in (kind := response.headers.get("Content-Type", "")):
            raise BadReport(f"The source answered {kind[:60]} instead of CSV.")
        return read(self._chunks(response), day, lambda text: self._say(f"{label}: {text}", "warning"))

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        until, size = time.monotonic() + self._limits.whole, 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._limits.size:
                raise BadReport(f"It is larger than {self._limits.size:,} bytes.")
            if time.monotonic() > until:
                raise BadReport(f"It did not end within {self._limits.whole:g} s.")
            if self._stopping.is_set():
                raise Stopped
            yield chunk
        with self._lock:
            self.bytes += size


def fetch_all(source: Source, todo: Iterable[tuple[str, date]]) -> Generator[Fetched | None]:
    """The reports of `todo`, in the order in which they arrive; None when nothing arrived for a moment.

    Close the iterator to end early: nothing waits for what is still under way.
    """
    remaining = iter(todo)
    ready: SimpleQueue[Future[Fetched]] = SimpleQueue()
    under_way = 0
    pool = ThreadPoolExecutor(AT_ONCE, "download")
    try:
        while True:
            for seller_id, day in islice(remaining, WINDOW - under_way):
                pool.submit(source.fetch, seller_id, day).add_done_callback(ready.put)
                under_way += 1
            if not under_way:
                return
            try:
                future = ready.get(timeout=TICK)
            except Empty:
                yield None
                continue
            under_way -= 1
            yield future.result()
    finally:
        source.stop()
        pool.shutdown(wait=False, cancel_futures=True)


def nobody_here(template: str) -> str:
    """Why no server of this machine takes connections at the source's address; "" for one that does, or is elsewhere.

    Asked before a person waits: a server that is started meanwhile is no such fault of a network as is tried again.
    """
    parts = urlsplit(template)
    if parts.hostname not in THIS_MACHINE:
        return ""
    try:
        socket.create_connection((parts.hostname, parts.port or 80), timeout=1).close()
    except OSError as error:
        return str(error)
    return ""


def check_template(template: str) -> None:
    """Raise ValueError that says what is wrong with a source's address."""
    parts = urlsplit(template)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"DOWNLOAD_SOURCE_URL must begin with http:// or https:// and a host, but is {template!r}.")
    for name in ("{seller_id}", "{day}"):
        if name not in template:
            raise ValueError(f"DOWNLOAD_SOURCE_URL must contain {name}, but is {template!r}.")


def _same_host(before: httpx.Request, after: httpx.Request) -> httpx.Request:
    """`after`, when it leads to where `before` went, or there from http to https."""
    old, new = before.url, after.url
    upgrade = (old.scheme, old.port, new.scheme, new.port) == ("http", None, "https", None)
    if new.host != old.host or (not upgrade and (new.scheme, new.port) != (old.scheme, old.port)):
        place = f"{new.scheme}://{new.netloc.rpartition(b'@')[2].decode('ascii', 'replace')}"[:120]
        raise BadReport(f"The source redirects to {place}, which is not followed: it is another host.")
    return after


def _retry_after(text: str | None) -> float | None:
    """Seconds of a Retry-After, which is a number of seconds or a date; None for none or nonsense."""
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _in_words(error: httpx.RequestError | httpx.StreamError) -> str:
    import httpx

    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return f"The source cannot be reached ({str(error) or 'no answer'})"
    if isinstance(error, httpx.TimeoutException):
        return "The source went silent"
    return f"The connection broke ({str(error) or type(error).__name__})"
