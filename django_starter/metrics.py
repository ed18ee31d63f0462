"""`/metrics` for Prometheus. What is counted for all machines comes from Redis and the database; each web process
adds its own sockets, so scrape every one."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from progress.hub import hubs
from tasks.models import CLAIMABLE, State, TaskRun
from tasks.runs import counts as counted
from tasks.runs.bounded import count, distinct
from tasks.runs.silence import MOST, silent
from tasks.runs.waiting import pulse

#: Runs of a queue that are counted for one scrape.
MOST_WAITING = 100_000


@require_safe
@never_cache
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format; 404 for whoever may not see it."""
    if not may_see(request):
        raise Http404
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def may_see(request: HttpRequest) -> bool:
    """True with the token; without one that is set, for this machine, as long as nobody else can reach the site."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return constant_time_compare(given, f"Bearer {settings.METRICS_TOKEN}")
    if settings.PRODUCTION or "X-Forwarded-For" in request.headers:
        return False  # a proxy on this machine makes everybody look like this machine
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


class Figures:
    """A collector for one scrape. What cannot be asked now is left out, and `…_up` says so."""

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("django_starter_up", "1 where it answers", labels=["service"])
        for service, figures in (("redis", from_redis), ("database", from_database)):
            try:
                yield from list(figures())
                up.add_metric([service], 1)
            except Exception:  # each client has errors of its own
                up.add_metric([service], 0)
        yield up
        with suppress(Exception):  # it needs both, and what is away was said
            yield from list(of_both())
        yield from of_this_process()


def from_redis() -> Iterator[Metric]:
    """What all processes have counted."""
    counts = counted.read()
    families = {
        "accepted": CounterMetricFamily("tasks_accepted", "Runs that were stored", labels=["task"]),
        "attempts": CounterMetricFamily("tasks_attempts", "Attempts that began", labels=["task"]),
        "finished": CounterMetricFamily("tasks_finished", "Runs that have ended", labels=["task", "state"]),
        "refused": CounterMetricFamily("tasks_refused_writes", "Writes of stale attempts that were refused"),
        "sent_again": CounterMetricFamily("tasks_sent_again", "Messages that the sweep sent again"),
        "ticks": CounterMetricFamily("tasks_ticks", "Ticks of schedules that fired", labels=["entry"]),
        "ticks_missed": CounterMetricFamily("tasks_ticks_missed", "Ticks nobody was there for", labels=["entry"]),
    }
    for (name, *labels), value in sorted(counts.items()):
        if name in families:
            families[name].add_metric(labels, value)
    for name in ("refused", "sent_again"):
        if (name,) not in counts:
            families[name].add_metric([], 0)
    yield from families.values()
    yield histogram("tasks_wait_seconds", "From accepted (or due) to the first attempt", "wait", counts)
    yield histogram("tasks_run_seconds", "From the last attempt's begin to the end", "run", counts)
    yield histogram("tasks_tick_late_seconds", "From a tick's time to its start", "late", counts, label="entry")
    workers = [worker for worker in pulse().workers if worker.alive]
    yield GaugeMetricFamily("tasks_workers", "Workers that beat just now", value=len(workers))
    slots = sum(worker.concurrency for worker in workers)
    yield GaugeMetricFamily("tasks_worker_slots", "Tasks that all workers can run at once", value=slots)


def histogram(
    name: str, text: str, word: str, counts: dict[tuple[str, ...], float], label: str = "task"
) -> HistogramMetricFamily:
    """The histogram of each task, or entry, that was observed under `word`."""
    family = HistogramMetricFamily(name, text, labels=[label])
    observed: dict[str, dict[str, float]] = defaultdict(dict)
    for words, value in counts.items():
        if words[0] == word:
            observed[words[1]][words[2]] = value
    for task, held in sorted(observed.items()):
        so_far, buckets = 0.0, []
        for bound in [*map(str, counted.BUCKETS), "+Inf"]:
            so_far += held.get(bound, 0)
            buckets.append((bound, so_far))
        family.add_metric([task], buckets, counts.get((f"{word}_sum", task), 0))
    return family


def from_database() -> Iterator[Metric]:
    """What waits and what runs."""
    text = f"Runs that wait to be claimed, counted up to {MOST_WAITING:,}"
    waiting = GaugeMetricFamily("tasks_waiting", text, labels=["queue"])
    rows = TaskRun.objects.filter(state__in=CLAIMABLE, held=False, finished_at=None)
    for queue in distinct(rows, "queue"):
        waiting.add_metric([queue], count(rows.filter(queue=queue), MOST_WAITING).number)
    yield waiting
    running = TaskRun.objects.filter(state=State.STARTED).count()
    yield GaugeMetricFamily("tasks_running", "Runs that a worker holds", value=running)


def of_both() -> Iterator[Metric]:
    """Who runs is in the database, what they tell in Redis."""
    text = f"Running tasks that have told nothing new for longer than their quiet_after, of the oldest {MOST:,}"
    yield GaugeMetricFamily("tasks_silent", text, value=len(silent()))


def of_this_process() -> Iterator[Metric]:
    """Sockets, and what the channel layer lost."""
    sockets = sum(hub.sockets for hub in hubs())
    yield GaugeMetricFamily("progress_sockets", "WebSockets of this web process", value=sockets)
    topics = sum(hub.topics for hub in hubs())
    yield GaugeMetricFamily("progress_topics", "Tasks that somebody at this web process watches", value=topics)
    subscriptions = sum(hub.subscriptions for hub in hubs())
    yield GaugeMetricFamily(
        "progress_subscriptions", "Sockets, counted once a task that each watches", value=subscriptions
    )
    repairs = sum(hub.repairs for hub in hubs())
    yield CounterMetricFamily("progress_repairs", "Snapshots sent because news were lost (resyncs)", value=repairs)
