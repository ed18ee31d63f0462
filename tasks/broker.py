"""What is asked of the broker itself, whichever it is."""

from __future__ import annotations

from celery import current_app


def ping(timeout: float) -> None:
    """Return when the broker has answered; raises what its client raises when it has not after about `timeout` s."""
    with current_app.connection_for_write(connect_timeout=timeout) as connection:
        connection.connect()  # Redis: with a PING; RabbitMQ: a whole handshake
