"""Requests that cannot be read are refused with 400 before anything is done for them.

A charset that Python cannot decode, a form that is broken, a NUL in any name or value: each would break somewhere
further in, in a place of its own.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import IO

from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseBase
from django.http.request import UnreadablePostError

from .answers import answer

logger = logging.getLogger(__name__)

#: Methods whose body, if any, nobody reads.
WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
#: What Python calls the charsets that are UTF-8, or a part of it.
UTF8 = ("utf-8", "ascii")


class Unreadable(ValueError):
    """A request that cannot be read; the message says why, and `field` where."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Readable:
    """Middleware: before those that read cookies and forms."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            read(request)
        except Unreadable as error:
            return answer(request, 400, str(error), error.field)
        except RequestDataTooBig:
            return answer(request, 413)
        except UnreadablePostError:  # its sender has left
            return answer(request, 400)
        return self.get_response(request)


def read(request: HttpRequest) -> None:
    """Read its names and values once. Raises `Unreadable`."""
    _check_charset(request)
    _refuse_nul("address", [request.path_info])
    try:
        for name, values in [*request.GET.lists(), *request.POST.lists()]:
            _refuse_nul(name, [name, *values])
        for name, value in request.COOKIES.items():
            _refuse_nul("Cookie", [name, value])
    except (Unreadable, RequestDataTooBig, UnreadablePostError):
        raise
    except Exception as error:  # each parser has errors of its own
        logger.debug("A request cannot be read: %s: %s", type(error).__name__, error)
        raise Unreadable("body", "The form cannot be read: it is not what its Content-Type says.") from error


def _check_charset(request: HttpRequest) -> None:
    charset = (request.content_params or {}).get("charset")
    if charset is None:
        return
    try:
        known = codecs.lookup(charset).name in UTF8
    except (LookupError, ValueError):  # none, or one that cannot be a name
        known = False
    if not known and request.method not in WITHOUT_BODY:
        shown = ascii(charset[:40])
        raise Unreadable("Content-Type", f"The body must be UTF-8, but its charset is {shown}.")
    request.encoding = "utf-8"


def _refuse_nul(field: str, texts: Iterable[str]) -> None:
    if any("\x00" in text for text in texts):
        field = field.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:100]
        raise Unreadable(field, f"{field} may not contain the character NUL.")


class Handler(ASGIHandler):
    """Django's, for which headers that it cannot make a request of are a bad request as well."""

    def create_request(
        self, scope: Mapping[str, object], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        """A request, or the answer to one that is none."""
        try:
            return super().create_request(scope, body_file)
        except Exception as error:  # of the parser of headers
            logger.debug("A request has headers that cannot be read: %s: %s", type(error).__name__, error)
            return None, HttpResponseBadRequest("The headers of this request cannot be read.\n", "text/plain")
