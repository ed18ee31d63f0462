"""What a person may start, and within which limits."""

from __future__ import annotations

import json
from collections.abc import Mapping

from django import forms
from django.http import QueryDict

from tasks.startable import Accepted, startables


class StartForm(forms.Form):
    """Start Task: which task, and the fields that this one asks for. Everything may be left out.

    `parts` are all tasks with their forms, of which only the chosen one counts. `chosen`: its name, until one is sent.
    """

    task = forms.ChoiceField(required=False)

    def __init__(self, data: Mapping[str, object] | None = None, *, chosen: str = "") -> None:
        super().__init__(data)
        self._offered = startables()
        default = next(iter(self._offered), "")
        sent = chosen if data is None else str(data.get("task") or "")
        self.chosen = sent if sent in self._offered else default
        self.parts = {
            name: one.form(data if name == self.chosen else None, auto_id=f"id_{name}_%s")
            for name, one in self._offered.items()
        }
        for name, part in self.parts.items():
            task_itself = self._offered[name].task
            # for the start in Python: an import path, where the task's name may be anything
            part.path = f"{task_itself.__module__}.{getattr(task_itself, '__name__', name)}"  # type: ignore[attr-defined]
        task = self.fields["task"]
        assert isinstance(task, forms.ChoiceField)
        task.choices = [(name, name) for name in self._offered]
        task.initial = self.chosen
        task.error_messages["invalid_choice"] = f"task must be one of {', '.join(self._offered)}, but got %(value)s."

    def clean(self) -> dict[str, object]:
        """The arguments of the chosen task, with their errors."""
        if not self.parts:
            self.errors["task"] = self.error_class(["No task is offered here: none is @startable."])
            return {}
        part = self.parts[self.chosen]
        self.errors.update(part.errors)
        for name, field in part.fields.items():
            if not isinstance(self.data, QueryDict) and (wrong := _wrong(name, field, self.data.get(name))):
                self.errors[name] = self.error_class([wrong])
        return dict(part.cleaned_data)

    def start(self, idempotency_key: str | None) -> Accepted:
        """Start what the valid form says; returns Celery's AsyncResult."""
        kwargs = {name: value for name, value in self.cleaned_data.items() if value is not None}
        if not isinstance(
            self.data, QueryDict
        ):  # a form says nothing of a box that is empty, JSON of what it leaves out
            boxes = (name for name, field in self.parts[self.chosen].fields.items() if _is_box(field))
            for name in [name for name in boxes if name not in self.data]:
                kwargs.pop(name, None)
        task = self._offered[self.chosen].task
        if idempotency_key is None:
            return task.delay(**kwargs)
        return task.apply_async(kwargs=kwargs, idempotency_key=idempotency_key)


def _is_box(field: forms.Field) -> bool:
    return isinstance(field, forms.BooleanField)


def _wrong(name: str, field: forms.Field, value: object) -> str | None:
    """What is wrong with the kind of a JSON value, which Django takes for another one."""
    if not _is_box(field):
        return f"{name} must be a number or a string, but got {json.dumps(value)}." if isinstance(value, bool) else None
    if value is None or isinstance(value, bool) or str(value).lower() in ("true", "false"):
        return None
    return f"{name} must be true or false, but got {json.dumps(value)[:50]}."
