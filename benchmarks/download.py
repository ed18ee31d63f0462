"""A download of 100 sellers × 365 days, beside two loops that somebody would write with httpx in an afternoon.

    python benchmarks/download.py            36,500 reports of 50 rows; about five minutes
    python benchmarks/download.py 10         10 sellers

- `bare`: eight threads, one `httpx.Client`; what arrives is thrown away.
- `bulk_create`: the same, and every report goes into the same two tables with `bulk_create`.

Both fetch a tenth of the sellers: their rate does not grow with less, ours includes the two files of the whole.
"""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DAYS = 365
FIRST = date(2025, 1, 1)
#: Megabytes that parent and pool process of the worker may hold together.
MEMORY = 250
#: Megabytes by which the last third may need more than the middle one.
FLAT = 10
#: Share of the rate of the `bulk_create` loop that is asked for.
RATIO = 0.7


def main(sellers: int) -> int:
    """Run all three and print the table; the exit code: 1 when a bound was missed."""
    from benchmarks.lab import ROOT, Lab, Report
    from django_starter.processes.ports import free_port, is_free

    report = Report(f"Download: {sellers} sellers × {DAYS} days, 50 rows each")
    with Lab() as lab:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "benchmarks.report_source:app", "--port", str(port)]
        lab.begin("source", [*command, "--no-access-log", "--log-level", "warning"], ready=lambda: not is_free(port))
        url = f"http://127.0.0.1:{port}/{{seller_id}}/{{day}}.csv"
        lab.env |= {"DOWNLOAD_SOURCE_URL": url, "DOWNLOAD_MAX_SELLERS": "1000"}
        worker = lab.start_worker()
        lab.start_web("uvicorn")
        assert lab._visitor is not None
        asked = {
            "start_date": str(FIRST),
            "end_date": str(FIRST + timedelta(DAYS - 1)),
            "seller_id": ",".join(names(sellers)),
            "launcher": "benchmark",
        }
        memory: list[float] = []
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.5):
                memory.append(worker.memory() / 1e6)

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.monotonic()
        answer = lab._visitor.post("/downloads/", json=asked)
        assert answer.status == 202, answer.text[:2000]
        result = lab.result(answer.json()["task_id"], timeout=3_600)
        seconds = time.monotonic() - began
        ended.set()
        watcher.join()
        count = sellers * DAYS
        assert result["records"] == count * 50, result
        ours = count / seconds
        peers = {}
        for name in ("bare", "bulk_create"):
            few = names(max(sellers // 10, 1))
            told = subprocess.run(
                [sys.executable, __file__, name, url, *few],
                env={**lab.env, "DEV_DIR": str(lab.folder / name)},
                cwd=ROOT,
                check=True,
                capture_output=True,
                text=True,
            )
            peers[name] = float(told.stdout)
        report.row("reports a second, saved and in two files", f"{ours:,.0f}")
        for name, bound in (("bare", None), ("bulk_create", RATIO)):
            ratio = ours / peers[name]
            report.row(
                *(f"compared with {name}", f"{ours:,.0f}", f"{peers[name]:,.0f}", f"{ratio:.2f}"),
                f"≥ {bound}" if bound else "",
                ratio >= bound if bound else None,
            )
        third = len(memory) // 3
        report.at_most("worker's memory, at most", max(memory), MEMORY, "MB")
        grown = max(memory[2 * third :]) - max(memory[third : 2 * third])
        report.at_most("its growth in the last third", grown, FLAT, "MB")
    return report.print()


def names(count: int) -> list[str]:
    """Seller ids."""
    return [f"SELLER-{number:03}" for number in range(count)]


def peer(name: str, url: str, sellers: list[str]) -> None:
    """One of the loops, in this process; prints its reports a second."""
    import httpx

    todo = [(seller, FIRST + timedelta(number)) for seller in sellers for number in range(DAYS)]
    client = httpx.Client(limits=httpx.Limits(max_connections=8), trust_env=False)

    def get(key: tuple[str, date]) -> tuple[tuple[str, date], str]:
        response = client.get(url.format(seller_id=key[0], day=key[1]))
        response.raise_for_status()
        return key, response.text

    save = prepare() if name == "bulk_create" else lambda *_: None
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        for key, text in pool.map(get, todo):
            save(*key, text)
    print(len(todo) / (time.monotonic() - began))


def prepare():  # type: ignore[no-untyped-def]
    """A database of its own; returns what saves a report in it."""
    os.makedirs(os.environ["DEV_DIR"])
    import django

    django.setup()
    from decimal import Decimal

    from django.core.management import call_command
    from django.db import transaction

    from tasks.downloads.models import Sales, Traffic

    call_command("migrate", verbosity=0)

    def save(key: tuple[str, date], text: str) -> None:
        seller, day = key
        rows = list(csv.DictReader(io.StringIO(text)))
        with transaction.atomic():
            Sales.objects.bulk_create(
                Sales(
                    seller_id=seller,
                    day=day,
                    product_id=row["Product ID"],
                    product_name=row["Product Name"],
                    store_name=row["Store Name"],
                    brand_name=row["Brand Name"],
                    venture=row["Venture"],
                    units=int(row["Units Sold"]),
                    revenue=Decimal(row["Revenue"]),
                )
                for row in rows
            )
            Traffic.objects.bulk_create(
                Traffic(
                    seller_id=seller,
                    day=day,
                    product_id=row["Product ID"],
                    pageviews=int(row["Product/SKU Pageviews"]),
                )
                for row in rows
            )

    return lambda seller, day, text: save((seller, day), text)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        peer(sys.argv[1], sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
