"""What a person may start, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping

from django import forms

from tasks.startable import Accepted, startables


class StartForm(forms.Form):
    """Start Task: which task, and the fields that this one asks for. Everything may be left out.

    `parts` are all tasks with their forms, of which only the chosen one counts. `chosen`: its name, until one is sent.
    """

    task = forms.ChoiceField(required=False)

    def __init__(self, data: Mapping[str, object] | None = None, *, chosen: str = "") -> None:
        super().__init__(data)
        self._offered = startables()
        default = next(iter(self._offered))
        sent = chosen if data is None else str(data.get("task") or "")
        self.chosen = sent if sent in self._offered else default
        self.parts = {
            name: one.form(data if name == self.chosen else None, auto_id=f"id_{name}_%s")
            for name, one in self._offered.items()
        }
        task = self.fields["task"]
        assert isinstance(task, forms.ChoiceField)
        task.choices = [(name, name) for name in self._offered]
        task.initial = self.chosen
        task.error_messages["invalid_choice"] = f"task must be one of {', '.join(self._offered)}, but got %(value)s."

    def clean(self) -> dict[str, object]:
        """The arguments of the chosen task, with their errors."""
        part = self.parts[self.chosen]
        self.errors.update(part.errors)
        return dict(part.cleaned_data)

    def start(self, idempotency_key: str | None) -> Accepted:
        """Start what the valid form says; returns Celery's AsyncResult."""
        kwargs = {name: value for name, value in self.cleaned_data.items() if value is not None}
        task = self._offered[self.chosen].task
        if idempotency_key is None:
            return task.delay(**kwargs)
        return task.apply_async(kwargs=kwargs, idempotency_key=idempotency_key)
