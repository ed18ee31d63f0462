"""Sessions that a database which takes no writes does not turn into an error of every page."""

from __future__ import annotations

import logging

from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse

from progress.seldom import Seldom

from .answers import DATABASE_TROUBLE

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
        except SessionInterrupted as error:
            if not _is_trouble(error):  # somebody logged out meanwhile
                raise
            trouble: BaseException = error
        except DATABASE_TROUBLE as error:
            trouble = error
        if times := _seldom.times():
            logger.error("Sessions cannot be stored (%s since the last such line): %s", times, trouble)
        return response


def _is_trouble(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, DATABASE_TROUBLE):
            return True
        error = error.__cause__ or error.__context__
    return False
