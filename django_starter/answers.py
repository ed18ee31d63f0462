"""What is answered to a request that cannot be served: one sentence, as a page to people and as JSON to scripts."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string
from django.views import defaults

from progress.seldom import Seldom
from tasks.web.requests import wants_json

logger = logging.getLogger(__name__)

#: What a database says that is away, locked, full or read-only.
DATABASE_TROUBLE = (OperationalError, InterfaceError)
#: Seconds after which somebody who was told to come back may find a database again.
RETRY_AFTER = 5

SENTENCES = {
    400: "The request cannot be read.",
    401: "Log in first.",
    403: "You may not do this, or the key of the form has expired: load its page again.",
    404: "There is nothing at this address, or it belongs to somebody else.",
    405: "This address does not take that method.",
    413: "The body of this request is too big.",
    500: "Something broke on our side. Accepted tasks are stored and go on running. Try again in a moment.",
    503: "The database cannot be read or written just now. Nothing was changed; try again in a moment.",
}
TITLES = {400: "This cannot be read", 413: "Too big", 503: "Try again in a moment"}

_seldom = Seldom(10.0)


def for_script(request: HttpRequest) -> bool:
    """True if an answer must be JSON: it was asked for, or nobody else comes to such an address."""
    return wants_json(request) or request.path_info.startswith("/api/")


def answer(request: HttpRequest, status: int, sentence: str = "", field: str = "request") -> HttpResponse:
    """The answer with that status; the page asks nothing of the database, which may be what is broken."""
    sentence = sentence or SENTENCES[status]
    response: HttpResponse
    if for_script(request):
        response = JsonResponse({"error": sentence, "errors": {field: [sentence]}}, status=status)
    else:
        text = render_to_string("error.html", {"title": TITLES[status], "sentence": sentence})
        response = HttpResponse(text, status=status)
    if status == 503:
        response["Retry-After"] = str(RETRY_AFTER)
    return response


def unavailable(request: HttpRequest, error: BaseException) -> HttpResponse:
    """503, and a line in the log, though not one for each request of an outage."""
    if times := _seldom.times():
        logger.error("The database fails (%s since the last such line): %s: %s", times, type(error).__name__, error)
    return answer(request, 503)


def is_trouble(error: BaseException | None) -> bool:
    """True if the database is away, locked, full or read-only; PostgreSQL says the last as an InternalError."""
    return isinstance(error, DATABASE_TROUBLE) or (isinstance(error, InternalError) and "read-only" in str(error))


def server_error(request: HttpRequest) -> HttpResponse:
    """`handler500`, of what broke outside a view: asking for the session, for example."""
    error = sys.exc_info()[1]
    if error is not None and is_trouble(error):
        return unavailable(request, error)
    return defaults.server_error(request)


class Answers:
    """Middleware: a script is answered with JSON whatever goes wrong, and a database that fails is no broken server."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code < 400 or response.streaming or not for_script(request):
            return response
        if response.headers.get("Content-Type", "").startswith("application/json"):
            return response
        sentence = SENTENCES.get(response.status_code) or response.reason_phrase
        body = {"error": sentence, "errors": {"request": [sentence]}}
        told = JsonResponse(body, status=response.status_code)
        for name, value in response.headers.items():
            if name not in ("Content-Type", "Content-Length"):
                told.headers[name] = value
        told.cookies = response.cookies
        response.close()
        return told

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """503 where the database fails within a view; 400 for a number that no date and no column can have."""
        if isinstance(exception, OverflowError):
            return answer(request, 400)
        return unavailable(request, exception) if is_trouble(exception) else None
