"""A job that Start Task offers with a form of its own, as a user of this project adds one."""

from __future__ import annotations

import time

from celery import shared_task
from django import forms

import progress
from tasks.startable import startable


class OrdersForm(forms.Form):
    shop = forms.CharField(min_length=3)
    count = forms.IntegerField(min_value=1, max_value=50, initial=5, required=False)


@startable(form=OrdersForm)
@shared_task(name="testjobs.import_orders")
def import_orders(shop: str, count: int = 5) -> str:
    for _ in progress.track(range(count), total=count, unit="orders"):
        time.sleep(0.02)
    return f"{count} orders of {shop}"
