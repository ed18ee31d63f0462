"""What `progress` asks of the project: who is at a socket, and what may they see?"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from progress.messages import TaskState
from progress.source import Handshake
from progress.types import JSON
from tasks import runs
from tasks.models import TaskRun
from tasks.runs.state import public_state, with_parts
from tasks.runs.waiting import explain

from . import feeds
from .access import Viewer, viewer_of, visible_runs


class RunSource:
    """`progress.source.Source` over TaskRun."""

    def admit(self, handshakes: Sequence[Handshake]) -> Sequence[tuple[Viewer, TaskState | None]]:
        """Sessions, then users and runs: two queries for all handshakes together (three with both kinds)."""
        cookie = settings.SESSION_COOKIE_NAME
        viewers = _viewers([one.cookies.get(cookie, "") for one in handshakes])
        wanted = {one.task_id for one in handshakes if one.task_id}
        found = {run.pk: run for run in TaskRun.objects.filter(pk__in=wanted)} if wanted else {}
        waiting = explain(list(found.values()))
        answers: list[tuple[Viewer, TaskState | None]] = []
        for handshake, viewer in zip(handshakes, viewers, strict=True):
            run = found.get(handshake.task_id or "")
            seen = run is not None and viewer.may_see(run)
            answers.append(
                (
                    viewer,
                    public_state(run, waiting.get(run.pk)) if run is not None and seen else None,
                )
            )
        return answers

    def states(self, viewer: Viewer, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """Those of `task_ids` that `viewer` may see."""
        found = list(visible_runs(viewer).filter(pk__in=task_ids))
        return with_parts(found, _states(found))

    def refresh(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """All of `task_ids`."""
        return _states(list(TaskRun.objects.filter(pk__in=task_ids)))

    def cancel(self, viewer: Viewer, task_id: str) -> bool:
        """Cancel for the owner and for staff."""
        if not visible_runs(viewer).filter(pk=task_id).exists():
            return False
        return runs.cancel(task_id)

    def viewer_of(self, request: HttpRequest) -> Viewer:
        """Who sends this HTTP request."""
        return viewer_of(request)

    def feeds(self, asked: Sequence[tuple[Viewer, str]]) -> Sequence[JSON]:
        """What pages hear beside single runs."""
        return feeds.look(asked)

    def counted_as(self, viewer: Viewer, handshake: Handshake) -> str:
        """Whose sockets are counted together: the user's, else those of an address."""
        return handshake.address if viewer.user_id is None else f"user-{viewer.user_id}"


def _states(rows: list[TaskRun]) -> dict[str, TaskState]:
    waiting = explain(rows)
    return {run.pk: public_state(run, waiting.get(run.pk)) for run in rows}


def _viewers(session_keys: Sequence[str]) -> list[Viewer]:
    """The viewers behind session cookies, all with one query for the sessions and one for the users."""
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    # A cookie may hold anything; what is no key would fail the query for everybody (PostgreSQL refuses NUL).
    keys = {key for key in session_keys if key.isascii() and key.isalnum() and len(key) <= 40}
    living = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    sessions = {one.session_key: store.decode(one.session_data) for one in living}
    user_model = get_user_model()
    ids = {data[SESSION_KEY] for data in sessions.values() if SESSION_KEY in data and BACKEND_SESSION_KEY in data}
    users = {str(user.pk): user for user in user_model._default_manager.filter(pk__in=ids)} if ids else {}
    viewers = []
    for key in session_keys:
        data = sessions.get(key)
        if data is None:
            viewers.append(Viewer())
            continue
        user = users.get(str(data.get(SESSION_KEY)))
        if user is None:
            viewers.append(Viewer(session_key="" if settings.TASKS_REQUIRE_LOGIN else key))
        elif user.is_active and constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
            viewers.append(Viewer(user.pk, "", bool(user.is_staff)))
        else:
            viewers.append(Viewer())
    return viewers
