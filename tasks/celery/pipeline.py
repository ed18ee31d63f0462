"""Many messages over one connection, in pipelines. They are Celery's own, byte for byte but for their tags."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from celery import current_app
from celery.utils.functional import maybe_list
from kombu import Producer

from tasks.models import TaskRun

from .events import start_events
from .message import Decoded, decoded
from .options import check
from .types import Options

logger = logging.getLogger(__name__)

#: Messages that travel to Redis at once.
AT_ONCE = 500
#: Options that are part of a message as they are. A run with others is sent one by one.
PLAIN = frozenset(
    {"chord", "group_id", "group_index", "headers", "ignore_result", "link", "link_error", "parent_id", "priority"}
    | {"queue", "reply_to", "retries", "root_id", "serializer", "shadow", "soft_time_limit", "time_limit"}
)


def publish_many(
    found: Sequence[TaskRun], one: Callable[[TaskRun], None], is_away: Callable[[Exception], bool]
) -> list[TaskRun]:
    """See `runs.engine.Engine`. `one` publishes a run that is not plain."""
    refused = []
    declared = set[str]()
    with current_app.producer_or_acquire() as producer, producer.batch(max_size=AT_ONCE):
        for run in found:
            try:
                message = decoded(run)
                if _is_plain(run, message["options"]):
                    check(message["options"])
                    _publish(producer, run, message, declare=run.queue not in declared)
                    declared.add(run.queue)
                else:
                    one(run)
            except Exception as error:
                if is_away(error):
                    raise
                logger.warning("%s cannot be sent: %s", run, error)
                refused.append(run)
    return refused


def _is_plain(run: TaskRun, options: Options) -> bool:
    is_now = run.eta is None and run.expires is None and run.next_retry_at is None
    return is_now and options.keys() <= PLAIN


def _publish(producer: Producer, run: TaskRun, message: Decoded, *, declare: bool) -> None:
    """What `Celery.send_task` does of it, once it has found out what we know."""
    options, amqp = message["options"], current_app.amqp
    task = current_app.tasks.get(run.name)
    given = options.get
    built = amqp.create_task_message(
        run.pk,
        run.name,
        message["args"],
        message["kwargs"],
        group_id=given("group_id"),
        group_index=given("group_index"),
        retries=given("retries") or 0,
        chord=given("chord"),
        callbacks=maybe_list(given("link")),
        errbacks=maybe_list(given("link_error")),
        reply_to=given("reply_to") or current_app.thread_oid,
        time_limit=given("time_limit", getattr(task, "time_limit", None)),
        soft_time_limit=given("soft_time_limit", getattr(task, "soft_time_limit", None)),
        create_sent_event=current_app.conf.task_send_sent_event and start_events.heard,
        root_id=given("root_id"),
        parent_id=given("parent_id"),
        shadow=given("shadow"),
        ignore_result=given("ignore_result"),
    )
    how: Options = {} if given("priority") is None else {"priority": given("priority")}
    if not declare:
        how["declare"] = []
    amqp.send_task_message(
        producer,
        run.name,
        built,
        queue=run.queue,
        headers=given("headers"),
        serializer=given("serializer"),
        event_dispatcher=start_events,
        retry=False,  # what a pipeline could not send is sent by the sweep
        **how,
    )
