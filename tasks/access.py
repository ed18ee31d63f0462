"""May this person watch, cancel, retry this run? And what `progress` asks of the project, answered with it.

The owner may, and staff. To everybody else a run that exists and one that does not are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from progress.messages import TaskState
from progress.source import Handshake

from . import runs
from .models import TaskRun
from .public_state import public_state
from .queue_status import explain
from .requests import wants_json
from .visitor import Visitor, enter, leave


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: a user id or a session key (or neither: nobody), and whether they are staff."""

    user_id: Any = None
    session_key: str = ""
    is_staff: bool = False

    def may_see(self, run: TaskRun) -> bool:
        """True for the owner and for staff."""
        return self.is_staff or self.owns(run)

    def owns(self, run: TaskRun) -> bool:
        """True for who started it."""
        if run.owner_id is not None:
            return bool(run.owner_id == self.user_id)
        return bool(run.session_key) and run.session_key == self.session_key


def visible_runs(viewer: Viewer) -> QuerySet[TaskRun]:
    """The runs that `viewer` may see."""
    if viewer.is_staff:
        return TaskRun.objects.all()
    return own_runs(viewer)


def own_runs(viewer: Viewer) -> QuerySet[TaskRun]:
    """The runs that `viewer` started."""
    if viewer.user_id is not None:
        return TaskRun.objects.filter(owner_id=viewer.user_id)
    if viewer.session_key:
        return TaskRun.objects.filter(owner=None, session_key=viewer.session_key)
    return TaskRun.objects.none()


def viewer_of(request: HttpRequest) -> Viewer:
    """The viewer behind an HTTP request."""
    user = request.user
    if user.is_authenticated:
        return Viewer(user.pk, "", bool(user.is_staff))
    return Viewer(None, request.session.session_key or "")


class VisitorMiddleware:
    """While a request is answered, what is started is its visitor's: a plain `.delay()` in a view knows its owner."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        token = enter(Visitor(request.user, request.session))
        try:
            return self.get_response(request)
        finally:
            leave(token)


class LoginWhereRequired(LoginRequiredMiddleware):
    """With `TASKS_REQUIRE_LOGIN` every view asks for a signed-in user, unless it says that it needs none."""

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> HttpResponseBase | None:
        """The way to the login page, or 401 for a script."""
        if not settings.TASKS_REQUIRE_LOGIN:
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> Any:
        """A script cannot follow a redirect to a form."""
        if wants_json(request) or request.path.startswith("/api/"):
            return JsonResponse({"error": "Log in first.", "errors": {"login": ["Log in first."]}}, status=401)
        return super().handle_no_permission(request, view_func)


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
            answers.append((viewer, public_state(run, waiting.get(run.pk)) if run is not None and seen else None))
        return answers

    def states(self, viewer: Viewer, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """Those of `task_ids` that `viewer` may see."""
        return _states(visible_runs(viewer).filter(pk__in=task_ids))

    def refresh(self, task_ids: Sequence[str]) -> dict[str, TaskState]:
        """All of `task_ids`."""
        return _states(TaskRun.objects.filter(pk__in=task_ids))

    def cancel(self, viewer: Viewer, task_id: str) -> bool:
        """Cancel for the owner and for staff."""
        if not visible_runs(viewer).filter(pk=task_id).exists():
            return False
        return runs.cancel(task_id)

    def viewer_of(self, request: Any) -> Viewer:
        """Who sends this HTTP request."""
        return viewer_of(request)

    def feeds(self, asked: Sequence[tuple[Viewer, str]]) -> Sequence[Any]:
        """What pages hear beside single runs."""
        from .feeds import look  # asks this file whose runs are whose

        return look(asked)

    def counted_as(self, viewer: Viewer, handshake: Handshake) -> str:
        """Whose sockets are counted together: the user's, else those of an address."""
        return handshake.address if viewer.user_id is None else f"user-{viewer.user_id}"


def _states(found: QuerySet[TaskRun]) -> dict[str, TaskState]:
    rows = list(found)
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
        user: Any = users.get(str(data.get(SESSION_KEY)))
        if user is None:
            viewers.append(Viewer(session_key="" if settings.TASKS_REQUIRE_LOGIN else key))
        elif user.is_active and constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
            viewers.append(Viewer(user.pk, "", bool(user.is_staff)))
        else:
            viewers.append(Viewer())
    return viewers
