"""Clients of people: alice (owner), bob (another user), charlie (nobody), and staff."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client


def visitor() -> Client:
    """Somebody without a login; a session begins with the first start."""
    return Client()


def signed_in(name: str, **user: Any) -> Client:
    """A client of a new user."""
    client = Client()
    client.force_login(get_user_model().objects.create_user(name, **user))
    return client


def start(client: Client, body: Any = None, **headers: str) -> Any:
    """POST a JSON start."""
    return client.post(
        "/tasks/start/", json.dumps({} if body is None else body), content_type="application/json", headers=headers
    )


def started(client: Client, **body: Any) -> str:
    """The id of a task that `client` has started."""
    answer = start(client, body)
    assert answer.status_code == 202, answer.content
    return str(answer.json()["task_id"])
