"""What a person is asked before a job is started, and within which limits."""

from __future__ import annotations

from django import forms

MAX_STEPS = 10_000
MAX_DELAY = 5


def _count(name: str, initial: int) -> forms.IntegerField:
    limits = f"{name} must be a whole number from 1 to {MAX_STEPS:,}."
    return forms.IntegerField(
        required=False,
        initial=initial,
        min_value=1,
        max_value=MAX_STEPS,
        help_text=f"1 to {MAX_STEPS:,}",
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), limits),
    )


def _delay(each: str) -> forms.FloatField:
    limits = f"delay must be a number of seconds from 0 to {MAX_DELAY}."
    return forms.FloatField(
        required=False,
        initial=0.1,
        min_value=0,
        max_value=MAX_DELAY,
        help_text=f"seconds {each}, 0 to {MAX_DELAY}",
        widget=forms.NumberInput(attrs={"step": "any"}),
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), limits),
    )


class LongRunningForm(forms.Form):
    """The arguments of `long_running_task`."""

    steps = _count("steps", 100)
    delay = _delay("a step")


class ImportOrdersForm(forms.Form):
    """The arguments of `import_orders_task`."""

    orders = _count("orders", 300)
    delay = _delay("an order")


class TourForm(forms.Form):
    """The arguments of `tour`."""

    seconds = forms.IntegerField(
        required=False,
        initial=20,
        min_value=2,
        max_value=120,
        help_text="of its import, 2 to 120",
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value"), "seconds must be a whole number from 2 to 120."
        ),
    )
