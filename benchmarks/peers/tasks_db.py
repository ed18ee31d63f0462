"""django-tasks-db: Django's tasks, with their queue in the database."""

from __future__ import annotations

try:
    from django.tasks import task
except ImportError:  # before Django 6
    from django_tasks import task


@task()
def nothing(number: int) -> int:
    """The task that is measured."""
    return number


def start(number: int) -> None:
    """Start one that a worker takes."""
    nothing.enqueue(number)


def start_unheard(number: int) -> None:
    """Start one in a queue that no worker takes from."""
    nothing.using(queue_name="unheard").enqueue(number)


def start_many(count: int) -> None:
    """It has no way of its own."""
    for number in range(count):
        start_unheard(number)


def ended() -> int:
    """How many have ended."""
    from django_tasks_db.models import DBTaskResult

    return int(DBTaskResult.objects.successful().count())
