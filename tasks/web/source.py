"""What `progress` asks of the project: who is at a socket, and what may they see?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from progress.messages import TaskState
from progress.source import NOBODY, Admitted, Handshake, OpenSocket
from progress.source import Viewer as AnyViewer
from progress.types import JSON
from tasks import runs
from tasks.models import TaskRun
from tasks.runs.attempts import with_attempts
from tasks.runs.state import listed, public_state, result_of, watched, with_parts
from tasks.runs.waiting import explain

from . import feeds
from .access import Viewer, viewer_of, visible_runs


class RunSource:
    """`progress.source.Source` over TaskRun."""

    def admit(self, handshakes: Sequence[Handshake]) -> Sequence[Admitted]:
        """Sessions, then users and runs: two queries for all handshakes together (three with both kinds)."""
        cookie = settings.SESSION_COOKIE_NAME
        viewers = _viewers([one.cookies.get(cookie, "") for one in handshakes])
        wanted = {one.task_id for one in handshakes if one.task_id}
        found = {run.pk: run for run in watched(TaskRun.objects.filter(pk__in=wanted))} if wanted else {}
        waiting = explain(list(found.values()))
        answers: list[Admitted] = []
        for handshake, viewer in zip(handshakes, viewers, strict=True):
            run = found.get(handshake.task_id or "")
            seen = run is not None and viewer.may_see(run)
            state = public_state(run, waiting.get(run.pk)) if run is not None and seen else None
            answers.append((viewer if viewer.may_look else NOBODY, state))
        return answers

    def recheck(self, sockets: Sequence[OpenSocket]) -> Sequence[AnyViewer]:
        """Sessions, users and whose the runs are: three queries for all sockets together, however many."""
        cookie = settings.SESSION_COOKIE_NAME
        now = _viewers([one.handshake.cookies.get(cookie, "") for one in sockets])
        wanted = {task_id for one in sockets for task_id in one.task_ids}
        rows = (
            TaskRun.objects.filter(pk__in=some).values_list("pk", "owner_id", "session_key") for some in slices(wanted)
        )
        owners = {pk: (owner_id, key) for some in rows for pk, owner_id, key in some}
        return [viewer if _stays(one, viewer, owners) else NOBODY for one, viewer in zip(sockets, now, strict=True)]

    def states(self, viewer: Viewer, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """Those of `task_ids` that `viewer` may see."""
        found = list(listed(visible_runs(viewer).filter(pk__in=task_ids)))
        return with_attempts(found, with_parts(found, _states(found)))

    def result(self, task_id: str) -> JSON:
        """The whole of it."""
        return result_of(task_id)

    def refresh(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """All of `task_ids`."""
        return _states(list(watched(TaskRun.objects.filter(pk__in=task_ids))))

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


def _stays(one: OpenSocket, now: Viewer, owners: Mapping[str, tuple[int | None, str]]) -> bool:
    """True if whoever opened this socket is still the same person, and may see all runs that it watches."""
    before = one.viewer
    if not isinstance(before, Viewer) or not now.may_look or not now.is_same_person(before):
        return False
    if one.handshake.task_id is not None and one.handshake.task_id not in owners:
        return False
    # A list goes on without a run that was deleted.
    return now.is_staff or all(now.is_owner(*owners[pk]) for pk in one.task_ids if pk in owners)


def _states(rows: list[TaskRun]) -> dict[str, TaskState]:
    waiting = explain(rows)
    return {run.pk: public_state(run, waiting.get(run.pk)) for run in rows}


#: Values of one IN (…): SQLite knows a limit.
SLICE = 10_000


def slices(values: Iterable[str]) -> Iterator[list[str]]:
    """`values` in lists that fit into one query; nearly always there is one."""
    ordered = sorted(values)
    for start in range(0, len(ordered), SLICE):
        yield ordered[start : start + SLICE]


def _viewers(session_keys: Sequence[str]) -> list[Viewer]:
    """The viewers behind session cookies, all with one query for the sessions and one for the users."""
    # A cookie may hold anything; what is no key would fail the query for everybody (PostgreSQL refuses NUL).
    keys = {key for key in session_keys if key.isascii() and key.isalnum() and len(key) <= 40}
    logins: dict[str, Login] = {}
    for some in slices(keys):
        living = Session.objects.filter(session_key__in=some, expire_date__gt=timezone.now())
        logins.update({key: _login(data) for key, data in living.values_list("session_key", "session_data")})
    user_model = get_user_model()
    users = {
        str(user.pk): user
        for some in slices({login.user_id for login in logins.values() if login.user_id})
        for user in user_model._default_manager.filter(pk__in=some)
    }
    viewers = {key: _viewer(key, login, users.get(login.user_id)) for key, login in logins.items()}
    return [viewers.get(key, Viewer()) for key in session_keys]


def _viewer(key: str, login: Login, user: AbstractBaseUser | None) -> Viewer:
    if user is None:
        return Viewer(session_key="" if settings.TASKS_REQUIRE_LOGIN else key)
    if user.is_active and constant_time_compare(login.hash, user.get_session_auth_hash()):
        return Viewer(user.pk, "", bool(getattr(user, "is_staff", False)))
    return Viewer()


class Login(NamedTuple):
    """What a session says of its user: the id, "" of nobody, and the hash of the password at that time."""

    user_id: str
    hash: str


@lru_cache(maxsize=SLICE)
def _login(session_data: str) -> Login:
    """Remembered, as open sockets ask every 2 s; the text is another one as soon as the session is."""
    data = import_module(settings.SESSION_ENGINE).SessionStore().decode(session_data)
    if SESSION_KEY not in data or BACKEND_SESSION_KEY not in data:
        return Login("", "")
    return Login(str(data[SESSION_KEY]), str(data.get(HASH_SESSION_KEY, "")))
