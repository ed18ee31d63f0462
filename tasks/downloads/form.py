"""What a person may ask for, and within which limits. Everything is checked here, before anything is queued."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone

from tasks.runs.characters import can_be_shown, is_seen

from .wanted import SELLER_ID, Wanted

#: Characters of a launcher's name.
MAX_LAUNCHER = 100
#: Seller ids that an error message repeats.
NAMED = 3
#: Not `date.fromisoformat` alone, which also takes 20260131 and 2026-W05.
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class DayField(forms.Field):
    """A day that exists, written YYYY-MM-DD."""

    widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})

    def to_python(self, value: object) -> date | None:
        """The day; None for nothing."""
        text = str(value or "").strip()
        if not text:
            return None
        try:
            if not DAY.fullmatch(text):
                raise ValueError
            return date.fromisoformat(text)
        except ValueError:
            shown = text if len(text) <= 40 else text[:40] + "…"
            raise forms.ValidationError(
                f"{str(self.label).capitalize()} must be a day that exists, written YYYY-MM-DD, but got {shown}."
            ) from None


class DownloadForm(forms.Form):
    """Download reports: sellers × days, and who asks."""

    start_date = DayField(label="First day", error_messages={"required": "First day must be a day, as YYYY-MM-DD."})
    end_date = DayField(label="Last day", error_messages={"required": "Last day must be a day, as YYYY-MM-DD."})
    seller_id = forms.CharField(
        label="Seller ids",
        help_text="separated by commas or lines",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "autocapitalize": "none"}),
        error_messages={"required": "Seller ids must name at least one seller."},
    )
    launcher = forms.CharField(
        label="Launcher",
        help_text="your name",
        max_length=MAX_LAUNCHER,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
        error_messages={
            "required": "Launcher must be the name of the person who asks.",
            "max_length": f"Launcher may have {MAX_LAUNCHER} characters.",
        },
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("start_date", "end_date"):
            self.fields[name].widget.attrs["max"] = timezone.localdate().isoformat()

    def clean_seller_id(self) -> tuple[str, ...]:
        """The ids, each once, in the order in which they were typed."""
        ids = list(dict.fromkeys(part for part in re.split(r"[\s,;]+", self.cleaned_data["seller_id"]) if part))
        if not ids:
            raise forms.ValidationError("Seller ids must name at least one seller.")
        bad = [one for one in ids if not SELLER_ID.fullmatch(one)]
        if bad:
            named = ", ".join(one[:40] for one in bad[:NAMED]) + (" …" if len(bad) > NAMED else "")
            raise forms.ValidationError(
                f"A seller id has 1 to 64 letters, digits, '.', '_' or '-' and begins with a letter or digit; "
                f"got {named}"
            )
        if len(ids) > settings.DOWNLOAD_MAX_SELLERS:
            raise forms.ValidationError(f"At most {settings.DOWNLOAD_MAX_SELLERS:,} sellers, but got {len(ids):,}.")
        return tuple(ids)

    def clean_launcher(self) -> str:
        """One line of text."""
        name: str = " ".join(self.cleaned_data["launcher"].split())
        if not can_be_shown(name):
            raise forms.ValidationError("Launcher has characters that cannot be shown.")
        if not any(map(is_seen, name)):
            raise forms.ValidationError("Launcher must be the name of the person who asks.")
        return name

    def clean(self) -> dict[str, object]:
        """The days together."""
        start, end = self.cleaned_data.get("start_date"), self.cleaned_data.get("end_date")
        today = timezone.localdate()
        if end and end > today:
            self.add_error("end_date", f"Last day may be {today} (today, UTC) at the latest, but got {end}.")
        elif start and start > today:
            self.add_error("start_date", f"First day may be {today} (today, UTC) at the latest, but got {start}.")
        elif start and end and end < start:
            self.add_error("end_date", f"Last day must not be before the first one, {start}, but got {end}.")
        elif start and end and (days := (end - start).days + 1) > settings.DOWNLOAD_MAX_DAYS:
            self.add_error("end_date", f"At most {settings.DOWNLOAD_MAX_DAYS:,} days, but got {days:,}.")
        return self.cleaned_data

    def wanted(self) -> Wanted:
        """What the valid form says."""
        said = self.cleaned_data
        return Wanted(said["start_date"], said["end_date"], said["seller_id"], said["launcher"])
