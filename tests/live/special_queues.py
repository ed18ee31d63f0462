"""Queues for `celery_control_questions`: one by its name, and one behind an exchange."""

from kombu import Exchange, Queue

QUEUES = [
    *(Queue(name) for name in ("celery", "special", "recycled")),
    Queue("video", Exchange("media"), routing_key="media.cut"),
]
