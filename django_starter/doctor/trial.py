"""Trying the system as a viewer does: an account for a minute, signed in, with runs and a session of its own."""

from __future__ import annotations

import secrets
from datetime import timedelta
from importlib import import_module

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.db.models import Q
from django.utils import timezone

from tasks import runs
from tasks.celery.start import start_of
from tasks.models import FINAL, State, TaskRun
from tasks.runs.owner import Owner, enter, leave
from tasks.tasks import canary

#: What its account is called, and how the accounts of a doctor that was killed are found.
PREFIX = "doctor-canary-"
OURS = rf"^{PREFIX}[0-9a-f]{{16}}$"
#: Seconds for which its session opens anything.
SESSION = 60
#: A countdown that keeps a run out of the broker: longer than the trial lasts.
FAR_OFF = 3600


class Trial:
    """Nothing is written before something of it is asked; `remove()` deletes what was.

    It is signed in on any site: an account shows that the web server has our database and our SECRET_KEY.
    """

    def __init__(self) -> None:
        self._owner: Owner | None = None
        self._runs: list[str] = []

    @property
    def cookie(self) -> str:
        """Its Cookie header."""
        return f"{settings.SESSION_COOKIE_NAME}={self._signed_in().session.session_key}"

    def start_canary(self) -> str:
        """`canary.delay()` as this visitor; the run's id."""
        token = enter(self._signed_in())
        try:
            self._runs.append(canary.delay().id)
        finally:
            leave(token)
        return self._runs[-1]

    def a_run(self) -> str:
        """The id of a run of its own: a canary that is there, else one that is stored and never sent."""
        owner = self._signed_in()
        if not self._runs:
            options = {"countdown": FAR_OFF, "expires": SESSION}
            self._runs.append(runs.accept(start_of(canary, (), {}, options), owner=owner).pk)
        return self._runs[0]

    def remove(self) -> None:
        """Delete its account, its session and its runs.

        A run whose message may still wait somewhere stays, cancelled: without its row the message would be a new run.
        """
        if self._owner is None:
            return
        mine = TaskRun.objects.filter(pk__in=self._runs)
        for pk in mine.exclude(state__in=FINAL).values_list("pk", flat=True):
            runs.cancel(pk)
        mine.filter(Q(state=State.SUCCESS) | Q(sent_at=None)).delete()
        self._owner.session.delete()
        self._owner.user.delete()
        self._owner = None

    def _signed_in(self) -> Owner:
        if self._owner is None:
            self._owner = _sign_in()
        return self._owner


def _sign_in() -> Owner:
    """A new account with a session. The accounts of a doctor that was killed are removed first."""
    users = get_user_model()._default_manager
    users.filter(username__regex=OURS, date_joined__lt=timezone.now() - timedelta(seconds=10 * SESSION)).delete()
    user = users.create_user(f"{PREFIX}{secrets.token_hex(8)}")
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.set_expiry(SESSION)
    session.create()
    return Owner(user, session)
