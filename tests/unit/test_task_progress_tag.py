"""`{% task_progress %}`: what it refuses, and what it writes without a request."""

from __future__ import annotations

import pytest
from django.template import Context, Template, TemplateSyntaxError


def rendered(tag, **context):
    return Template("{% load progress %}" + tag).render(Context({"id": "0f5d", **context}))


@pytest.mark.parametrize(
    ("tag", "named"),
    [('{% task_progress id "lgo" %}', "lgo"), ('{% task_progress id "log" shared=True %}', "shared")],
)
def test_what_it_cannot_show_is_named(tag, named):
    with pytest.raises(TemplateSyntaxError, match=named):
        rendered(tag)


def test_without_a_request_the_element_asks_for_itself():
    page = rendered("{% task_progress id %}")
    assert '<task-progress task-id="0f5d" src="/api/tasks/0f5d/" state="PENDING">' in page
    assert 'role="progressbar"' in page


def test_script_and_stylesheet_come_once_to_a_page():
    page = rendered("{% task_progress id %}{% task_progress other socket='/live/ws/' shared=True %}", other="9a")
    assert page.count("task-progress.js") == page.count("progress.css") == 1
    assert 'task-id="9a" src="/api/tasks/9a/" socket="/live/ws/" shared' in page


@pytest.mark.parametrize("task_id", ['"><script>', "", "a b", "../x"])
def test_what_is_no_id_is_a_task_that_does_not_exist(task_id):
    page = rendered("{% task_progress id %}", id=task_id)
    assert "There is no such task" in page
    assert "<script>" not in page
