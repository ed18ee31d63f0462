"""The address of the snapshot where a project includes none: the middleware that knows whose request it is gives it."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

OWN_URLS = "progress.own_urls"


class OwnAddress:
    """For a middleware to derive from: `give` a request our addresses beside the project's, below `/api/tasks/`."""

    _wanted: bool | None = None

    def give(self, request: HttpRequest) -> None:
        """Nothing where the project includes `progress.urls`, or another middleware chose the request's addresses."""
        if self._wanted is None:  # not before the first request: the project's addresses may import all of it
            self._wanted = not is_included()
        if self._wanted and not hasattr(request, "urlconf"):
            request.urlconf = OWN_URLS


def is_included() -> bool:
    """Whether the project's own addresses lead to the snapshot."""
    try:
        reverse("progress:snapshot", args=["a"], urlconf=settings.ROOT_URLCONF)
    except NoReverseMatch:
        return False
    return True
