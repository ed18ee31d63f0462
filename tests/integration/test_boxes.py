"""A yes or no that a startable task asks for: a box on the page, true and false in JSON."""

from __future__ import annotations

import re

import pytest
from celery import shared_task
from django import forms

from tasks import startable as startable_module
from tasks.models import TaskRun

from .people import start, started, visitor

pytestmark = pytest.mark.django_db


class OrdersForm(forms.Form):
    dry_run = forms.BooleanField(required=False, help_text="Only look.")
    count = forms.IntegerField(required=False)
    factor = forms.FloatField(required=False)
    note = forms.CharField(required=False)


@shared_task(name="tests.box_orders")
def box_orders(dry_run=True, count=1, factor=1.0, note="") -> None: ...


@pytest.fixture
def orders(monkeypatch):
    """A startable task with a box."""

    monkeypatch.setattr("tasks.startable._registered", [*startable_module._registered])
    return startable_module.startable(form=OrdersForm)(box_orders)


@pytest.mark.parametrize(
    ("sent", "given"),
    [
        ({"dry_run": True}, {"dry_run": True}),
        ({"dry_run": False, "note": "x"}, {"dry_run": False, "note": "x"}),
        ({"dry_run": "true"}, {"dry_run": True}),
        ({"count": 3}, {"count": 3}),  # what is left out has the task's own value
        ({"dry_run": None}, {}),
    ],
)
def test_a_box_takes_true_and_false_as_json(orders, sent, given):
    task_id = started(visitor(), task="box_orders", **sent)
    kwargs = TaskRun.objects.get(pk=task_id).kwargs
    assert {key: value for key, value in kwargs.items() if value != ""} == given


@pytest.mark.parametrize(("sent", "given"), [({"dry_run": "on"}, True), ({}, False)])
def test_a_box_of_a_form_is_ticked_or_not(orders, sent, given):
    alice = visitor()
    assert alice.post("/tasks/start/", {"task": "box_orders", **sent}).status_code == 302
    assert TaskRun.objects.get().kwargs["dry_run"] is given


@pytest.mark.parametrize(
    ("name", "value"),
    [("dry_run", "perhaps"), ("dry_run", 7), ("count", True), ("factor", True), ("note", False), ("dry_run", [1])],
)
def test_what_is_no_box_takes_neither_and_a_box_nothing_else(orders, name, value):
    answer = start(visitor(), {"task": "box_orders", name: value})
    assert answer.status_code == 400 and list(answer.json()["errors"]) == [name]
    assert name in answer.json()["errors"][name][0]
    assert not TaskRun.objects.exists()


def test_the_page_offers_a_box_beside_its_name(orders):
    page = visitor().get("/?task=box_orders").content.decode()
    box = r'<label class="box" for="id_box_orders_dry_run"><input type="checkbox" name="dry_run"[^>]*> Dry run'
    assert re.search(box, page)
    assert "Only look." in page
