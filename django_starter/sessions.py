"""Sessions that a database which takes no writes does not turn into an error of every page."""

from __future__ import annotations

import logging

from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from progress.seldom import Seldom

from .answers import is_trouble

logger = logging.getLogger(__name__)

_seldom = Seldom(10.0)


class Sessions(SessionMiddleware):
    """Django's; where a session cannot be stored after the answer is made, the answer is given all the same.

    What must be stored (a login, the session of a start) is stored within the view, which fails then.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Store the session, if the database lets us."""
        try:
            return super().process_response(request, response)
        except (SessionInterrupted, DatabaseError) as error:
            trouble = _trouble(error)
            if trouble is None:  # somebody logged out meanwhile
                raise
        if times := _seldom.times():
            logger.error("Sessions cannot be stored (%s since the last such line): %s", times, trouble)
        return response


def _trouble(error: BaseException | None) -> BaseException | None:
    """What the database said that `error` comes from; None where it said nothing."""
    while error is not None and not is_trouble(error):
        error = error.__cause__ or error.__context__
    return error
