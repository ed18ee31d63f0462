"""What a person is asked before a job is started, and within which limits."""

from __future__ import annotations

from django import forms

MAX_STEPS = 10_000
MAX_DELAY = 5


class LongRunningForm(forms.Form):
    """The arguments of `long_running_task`."""

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
