"""What a person may start, and within which limits."""

from __future__ import annotations

from typing import Any

from django import forms

from .tasks import demo_task, long_running_task

#: The tasks that Start Task offers, by name; each takes those fields of the form that it names here.
STARTABLE: dict[str, tuple[Any, tuple[str, ...]]] = {
    "long_running_task": (long_running_task, ("steps", "delay")),
    "demo_task": (demo_task, ()),
}

MAX_STEPS = 10_000
MAX_DELAY = 5


class StartForm(forms.Form):
    """Start Task. Everything may be left out."""

    task = forms.ChoiceField(
        required=False,
        initial="long_running_task",
        choices=[(name, name) for name in STARTABLE],
        error_messages={"invalid_choice": f"task must be one of {', '.join(STARTABLE)}, but got %(value)s."},
    )
    steps = forms.IntegerField(
        required=False,
        initial=100,
        min_value=1,
        max_value=MAX_STEPS,
        help_text=f"1 to {MAX_STEPS:,}",
        error_messages={
            "invalid": f"steps must be a whole number from 1 to {MAX_STEPS:,}.",
            "min_value": f"steps must be a whole number from 1 to {MAX_STEPS:,}.",
            "max_value": f"steps must be a whole number from 1 to {MAX_STEPS:,}.",
        },
    )
    delay = forms.FloatField(
        required=False,
        initial=0.1,
        min_value=0,
        max_value=MAX_DELAY,
        help_text=f"seconds a step, 0 to {MAX_DELAY}",
        widget=forms.NumberInput(attrs={"step": "any"}),
        error_messages={
            "invalid": f"delay must be a number of seconds from 0 to {MAX_DELAY}.",
            "min_value": f"delay must be a number of seconds from 0 to {MAX_DELAY}.",
            "max_value": f"delay must be a number of seconds from 0 to {MAX_DELAY}.",
        },
    )

    def start(self, idempotency_key: str | None) -> Any:
        """Start what the valid form says; returns Celery's AsyncResult."""
        task, fields = STARTABLE[self.cleaned_data["task"] or "long_running_task"]
        kwargs = {name: self.cleaned_data[name] for name in fields if self.cleaned_data[name] is not None}
        if idempotency_key is None:
            return task.delay(**kwargs)
        return task.apply_async(kwargs=kwargs, idempotency_key=idempotency_key)
