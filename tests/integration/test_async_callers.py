"""A start inside an event loop: `delay` says what to use there, and that works."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from celery import shared_task
from django.core.exceptions import SynchronousOnlyOperation

from tasks.models import TaskRun


def _awaited(value: int = 0) -> int:
    return value


awaited: Any = shared_task(name="tests.awaited")(_awaited)  # celery's types know no `adelay`


def test_delay_inside_an_event_loop_says_what_to_use(db):
    async def view():
        awaited.delay(1)

    with pytest.raises(SynchronousOnlyOperation, match=r"tests\.awaited .* use `await _awaited\.adelay\("):
        async_to_sync(view)()
    assert not TaskRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_adelay_and_aapply_async_store_a_run():
    async def view():
        return [await awaited.adelay(1), await awaited.aapply_async(kwargs={"value": 2}, countdown=60)]

    one, two = async_to_sync(view)()
    assert TaskRun.objects.get(pk=one.id).args == [1]
    assert TaskRun.objects.get(pk=two.id).kwargs == {"value": 2}
    assert TaskRun.objects.get(pk=two.id).eta is not None
