"""What makes a Celery app one whose tasks are runs. The project's file calls `tasks.install(app)` and wires nothing.

Imported before Django is set up: what needs models is named here and imported by Celery.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

from celery import Celery, signals

TASK_CLASS = "tasks.celery.task:TrackedTask"
RESULT_BACKEND = "tasks.celery.results:RunBackend"
CONSUMER = "tasks.celery.reconnect:SoonBack"

#: What a setting of Celery is where the project does not say otherwise; those of a broker follow from its address.
DEFAULTS: Mapping[str, object] = {
    "result_backend": RESULT_BACKEND,
    "worker_consumer": CONSUMER,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,  # 100 in Celery: then a worker gives up and ends
    "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2},
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_track_started": False,  # the claim moves a run to STARTED
    "worker_prefetch_multiplier": 1,
    "worker_soft_shutdown_timeout": 8,
    "worker_enable_soft_shutdown_on_idle": False,
    "worker_cancel_long_running_tasks_on_connection_loss": False,  # True lost running tasks
    "worker_send_task_events": True,  # or Flower would miss what ran before it came
    "task_send_sent_event": True,
    "worker_hijack_root_logger": False,
    "accept_content": ["json"],
}

_installed: WeakSet[Celery] = WeakSet()


def install(app: Celery, fill: Callable[[], None]) -> None:
    """See `tasks.install`. `fill` sets what the project's settings leave out."""
    if app in _installed:
        return
    _installed.add(app)
    # Celery's fixup for Django names a class too. One that the project gave itself stays, and the checks look at it.
    if not getattr(app, "_custom_task_cls_used", False):
        app.task_cls = TASK_CLASS
        vars(app).pop("Task", None)  # the class that was made of the name before
    if getattr(app, "configured", False):  # its types do not name it
        _give_defaults(app.conf, fill)
    else:
        app.on_after_configure.connect(lambda source, **_: _give_defaults(source, fill), weak=False)
    signals.import_modules.connect(_add_heart, sender=app)
    app.on_after_configure.connect(_clean_broker_url)


def is_installed(app: Celery) -> bool:
    """True if `install` was called for `app`."""
    unwrapped = getattr(app, "_get_current_object", None)
    return (unwrapped() if unwrapped else app) in _installed


def _give_defaults(conf: Any, fill: Callable[[], None]) -> None:
    """Put ours below what the project says and above Celery's own; `app.add_defaults` puts them above both."""
    conf.maps.insert(len(conf.maps) - 1, _defaults(fill))


def _defaults(fill: Callable[[], None]) -> dict[str, object]:
    # Asked when the app has read its configuration: by then there are settings.
    from django.conf import settings

    fill()
    broker = settings.BROKER
    return {
        **DEFAULTS,
        "broker_url": broker.url,
        "broker_channel_error_retry": broker.channel_error_retry,
        "broker_transport_options": broker.transport_options,
        "broker_use_ssl": broker.use_ssl,
        "broker_heartbeat": broker.heartbeat,
        "broker_connection_timeout": broker.connection_timeout,
        "task_default_queue_type": broker.queue_type,
        "task_create_missing_queue_type": broker.queue_type,
        "task_default_exchange_type": broker.exchange_type,
        "task_create_missing_queue_exchange_type": broker.exchange_type,
    }


def _add_heart(sender: Celery, **_: object) -> None:
    # Only a worker sends this signal; by now Django is set up.
    from .heart import Heart

    sender.steps["worker"].add(Heart)


def _clean_broker_url(sender: Celery, **_: object) -> None:
    """The `celery` command puts BROKER_URL there as it is, with what kombu cannot read of it."""
    from django.conf import settings

    if os.environ.get("CELERY_BROKER_URL") == getattr(settings, "BROKER_URL", ""):
        os.environ["CELERY_BROKER_URL"] = settings.BROKER.url
