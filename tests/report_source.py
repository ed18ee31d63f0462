"""A source of reports for tests, over real HTTP in threads: counts what it is asked for, and misbehaves on request.

The seller's id says how: HTML, ELSEWHERE (a redirect to 169.254.169.254), ENDLESS, HUGE, GONE (404), EMPTY,
FORMULA, BROKEN (some rows), NONSENSE (every row), DOWN (500 every time). Every other id has figures.
"""

from __future__ import annotations

import csv
import io
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tasks.downloads.report import COLUMNS

HEADER = ",".join(COLUMNS)
HTML = "<!doctype html><title>Sign in</title>"


class ReportSource:
    """`url` is a DOWNLOAD_SOURCE_URL. `asked` counts requests by (seller id, day), `served` those answered with 200."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.served: Counter[tuple[str, str]] = Counter()
        self.at_once = self.most_at_once = 0
        self.share_500 = self.share_429 = 0.0
        self.delay = 0.0
        self.rows = 10
        self._lock = threading.Lock()
        self._luck = random.Random(5)
        self._ending = threading.Event()
        source = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                with source._lock:
                    source.at_once += 1
                    source.most_at_once = max(source.most_at_once, source.at_once)
                try:
                    source._answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with source._lock:
                        source.at_once -= 1

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None:
                pass  # a client that was killed

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/{{seller_id}}/{{day}}.csv"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()

    def figures(self, seller_id: str, day: str) -> list[tuple[str, int, Decimal, int]]:
        """What the source says: (product id, units, revenue, pageviews) of each product."""
        luck = random.Random(f"{seller_id}{day}")
        return [
            (f"P-{number:03}", luck.randint(0, 40), Decimal(luck.randint(0, 999_999)) / 100, luck.randint(0, 5_000))
            for number in range(self.rows)
        ]

    def sums(self, sellers: list[str], first: str, last: str) -> tuple[int, int, Decimal, int]:
        """(rows, units, revenue, pageviews) of all that."""
        found = [row for seller in sellers for day in days(first, last) for row in self.figures(seller, day)]
        return len(found), sum(r[1] for r in found), sum((r[2] for r in found), Decimal(0)), sum(r[3] for r in found)

    def report(self, seller_id: str, day: str) -> str:
        """The CSV of one seller and day."""
        text = io.StringIO()
        lines = csv.writer(text)
        lines.writerow(COLUMNS)
        for number, (product_id, units, revenue, views) in enumerate(self.figures(seller_id, day)):
            name = '=cmd|"/C calc"!A1' if seller_id == "FORMULA" else f'Lamp "{number}", größer'
            lines.writerow([day, name, "Store", "Brand", "Venture", product_id, units, f"{revenue:.2f}", views])
        if seller_id == "BROKEN":
            lines.writerow([day, "Lamp", "Store", "Brand", "Venture", "P-X", "many", "1.00", "1"])
            lines.writerow(["yesterday", "Lamp"])
        return text.getvalue()

    def _answer(self, handler: Any) -> None:
        _, seller_id, name = handler.path.split("/")
        day = name.removesuffix(".csv")
        with self._lock:
            self.asked[seller_id, day] += 1
            luck = self._luck.random()
        self._ending.wait(self.delay)
        if seller_id == "DOWN" or luck < self.share_500:
            self._send(handler, 500, "broken")
        elif luck < self.share_500 + self.share_429:
            self._send(handler, 429, "slowly", {"Retry-After": "0"})
        elif seller_id == "GONE":
            self._send(handler, 404, "no such seller")
        elif seller_id == "HTML":
            self._send(handler, 200, HTML, {"Content-Type": "text/html; charset=utf-8"})
        elif seller_id == "ELSEWHERE":
            self._send(handler, 302, "", {"Location": "http://169.254.169.254/latest/meta-data/"})
        elif seller_id in ("ENDLESS", "HUGE"):
            self._never_end(handler, slowly=seller_id == "ENDLESS")
        else:
            body = {"EMPTY": HEADER, "NONSENSE": f"{HEADER}\n{day},?\n"}.get(seller_id) or self.report(seller_id, day)
            self._send(handler, 200, body)
            with self._lock:
                self.served[seller_id, day] += 1

    def _send(self, handler: Any, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        handler.send_response(status)
        for name, value in ({"Content-Type": "text/csv"} | (headers or {})).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _never_end(self, handler: Any, *, slowly: bool) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/csv")
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(f"{HEADER}\n".encode())
        line = b"x" * (10 if slowly else 100_000)
        until = time.monotonic() + 60
        while not self._ending.is_set() and time.monotonic() < until:
            handler.wfile.write(line)
            if slowly:
                self._ending.wait(0.05)


@contextmanager
def report_source() -> Iterator[ReportSource]:
    """A source that runs for the length of the block."""
    source = ReportSource()
    try:
        yield source
    finally:
        source.close()


def days(first: str, last: str) -> list[str]:
    """All days from `first` to `last`, both included."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [str(start + timedelta(number)) for number in range((end - start).days + 1)]
