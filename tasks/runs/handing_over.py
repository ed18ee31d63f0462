"""A visitor's runs become a user's."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Q

from tasks.models import TaskRun

from . import keys


def hand_over(session_key: str, user_id: int) -> None:
    """What was started under `session_key` is the user's from now on, and so are the keys against a second start."""
    visitors = TaskRun.objects.filter(owner=None, session_key=session_key)
    keyed = visitors.filter(Q(idempotency_key__isnull=False) | Q(active_key__isnull=False))
    for run in list(keyed.only("idempotency_key", "active_key")):
        one = visitors.filter(pk=run.pk)
        try:
            with transaction.atomic():
                one.update(
                    owner_id=user_id,
                    session_key="",
                    idempotency_key=run.idempotency_key and keys.handed_over(run.idempotency_key, user_id),
                    active_key=run.active_key and keys.handed_over(run.active_key, user_id),
                )
        except IntegrityError:  # the user has used that key as well: theirs stays, and this run has none
            one.update(idempotency_key=None, active_key=None)
    visitors.update(owner_id=user_id, session_key="")
