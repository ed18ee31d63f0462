"""Which queue a message goes to: there its run is counted."""

from __future__ import annotations

import re

from celery import Celery

from .types import CeleryTask, Options


def queue_of(task: CeleryTask, options: Options) -> str:
    """The name of the queue that the task's message goes to."""
    queue = options.get("queue")
    if queue is None and options.get("exchange"):
        queue = _queue_behind(task.app, name_of(options["exchange"]), str(options.get("routing_key") or ""))
    if queue is not None:
        return name_of(queue)
    route = task.app.amqp.router.route(dict(options), task.name, task_type=task)
    queue = route.get("queue")
    return str(getattr(queue, "name", None) or task.app.conf.task_default_queue)


def _queue_behind(app: Celery, exchange: str, routing_key: str) -> str | None:
    """The queue of ours that an exchange gives such messages to: there they are counted."""
    for name, queue in app.amqp.queues.items():
        if queue.exchange is None or queue.exchange.name != exchange:
            continue
        pattern = re.escape(queue.routing_key or "")
        if queue.exchange.type == "topic":
            pattern = pattern.replace(r"\.\#", r"(\..*)?").replace(r"\#", ".*").replace(r"\*", r"[^.]+")
        if queue.exchange.type == "fanout" or re.fullmatch(pattern, routing_key):
            return str(name)
    return None


def name_of(of: object) -> str:
    """A queue's or exchange's, given as such or by name."""
    return str(getattr(of, "name", of))
