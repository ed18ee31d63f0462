"""What other rooms may hear of Celery's runs."""

from __future__ import annotations

from django.dispatch import Signal

#: A run has its end, whatever it is and whoever recorded it; sent once, after the commit, with `run`.
run_ended = Signal()
