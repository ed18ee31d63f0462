"""A task that returns with a transaction of its own still open: what it wrote would never be committed."""

from __future__ import annotations

import logging

from django.db import connections

logger = logging.getLogger(__name__)


class LeftOpen(Exception):
    """The task ended with an open transaction; the message says on which database."""


def close_left_open() -> str:
    """Roll back and drop each connection of this thread that is in a transaction; their names, "" for none."""
    left = []
    for connection in connections.all(initialized_only=True):
        autocommit = connection.settings_dict.get("AUTOCOMMIT", True)
        if connection.connection is None or (
            connection.in_atomic_block is False and connection.autocommit == autocommit
        ):
            continue
        left.append(connection.alias)
        try:
            connection.connection.rollback()
        except Exception as error:
            logger.debug("The connection to %s could not be rolled back: %s", connection.alias, error)
        connection.in_atomic_block = False
        connection.savepoint_ids = []
        connection.atomic_blocks = []
        connection.needs_rollback = False
        connection.run_on_commit = []
        connection.close()
        connection.autocommit = autocommit
    return ", ".join(left)
