"""May this person watch, cancel, retry this run?

The owner may, and staff. To everybody else a run that exists and one that does not are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest

from progress.messages import ID_PATTERN
from tasks.models import TaskRun


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: a user id or a session key (or neither: nobody), and whether they are staff."""

    user_id: int | None = None
    session_key: str = ""
    is_staff: bool = False

    def may_see(self, run: TaskRun) -> bool:
        """True for the owner and for staff."""
        return self.is_staff or self.owns(run)

    def owns(self, run: TaskRun) -> bool:
        """True for whoever started it."""
        return self.is_owner(run.owner_id, run.session_key)

    def is_owner(self, owner_id: int | None, session_key: str) -> bool:
        """True if a run that was stored with these is theirs."""
        if owner_id is not None:
            return owner_id == self.user_id
        return bool(session_key) and session_key == self.session_key

    def is_same_person(self, other: Viewer) -> bool:
        """True also where what they may do has changed."""
        return (self.user_id, self.session_key) == (other.user_id, other.session_key)

    @property
    def may_look(self) -> bool:
        """False where a login is required, and they have not logged in."""
        return self.user_id is not None or not settings.TASKS_REQUIRE_LOGIN


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


def shown(found: Iterable[TaskRun]) -> list[TaskRun]:
    """Those of them that have an address; to one whose id another program has chosen, none may lead."""
    return [run for run in found if ID_PATTERN.fullmatch(run.pk)]


def viewer_of(request: HttpRequest) -> Viewer:
    """The viewer behind an HTTP request."""
    user = request.user
    if user.is_authenticated:
        return Viewer(user.pk, "", bool(user.is_staff))
    return Viewer(None, request.session.session_key or "")
