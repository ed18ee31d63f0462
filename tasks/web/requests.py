"""What a request brings, as a form or as JSON, and how an answer is given to either."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from django.http import HttpRequest, JsonResponse
from django.http.multipartparser import MultiPartParserError

#: Content types that Django reads as a form; "" of a request without a body.
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data", "")
#: Bytes that a JSON body may have.
MAX_BODY = 64 * 1024
#: What an Idempotency-Key may look like.
KEY_PATTERN = re.compile(r"[\x21-\x7e]{1,128}")


class BadBody(ValueError):
    """The request cannot be read; the message says why, and `field` where."""

    def __init__(self, message: str, field: str = "body") -> None:
        super().__init__(message)
        self.field = field

    def as_errors(self) -> dict[str, list[str]]:
        """For `refuse`."""
        return {self.field: [str(self)]}


def wants_json(request: HttpRequest) -> bool:
    """True if the answer should be JSON: the body is JSON, or the client says that it accepts it first."""
    if request.content_type == "application/json":
        return True
    accept = request.headers.get("Accept", "")
    return "application/json" in accept and "text/html" not in accept


def idempotency_key(request: HttpRequest) -> str | None:
    """The request's Idempotency-Key, if it has one. Raises `BadBody`."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not KEY_PATTERN.fullmatch(key):
        name = "Idempotency-Key"
        raise BadBody(f"{name} must be 1 to 128 printable characters without spaces.", name)
    return key


def key_reused(error: Exception) -> JsonResponse:
    """409: the key has started this task with other arguments. Forms send no such header, so scripts read this."""
    return refuse({"Idempotency-Key": [str(error)]}, 409)


def read_body(request: HttpRequest, max_body: int = MAX_BODY, *, boxes: bool = False) -> Mapping[str, object]:
    """The fields of the request: a QueryDict of a form, or the dict of a JSON object of up to `max_body` bytes.

    `boxes`: true and false may be among them. Raises `BadBody`.
    """
    if request.content_type in FORMS:
        try:
            return request.POST
        except MultiPartParserError as error:
            raise BadBody(f"The form cannot be read: {error}") from error
    if request.content_type != "application/json":
        raise BadBody(f"The body must be a form or application/json, but got {str(request.content_type)[:100]}.")
    if len(request.body) > max_body:
        raise BadBody(f"The body may have {max_body:,} bytes.")
    try:
        fields = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise BadBody("The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise BadBody(f"The body must be a JSON object, but got a {type(fields).__name__}.")
    for name, value in fields.items():
        if isinstance(value, (dict, list)) or (isinstance(value, bool) and not boxes):
            raise BadBody(f"{name} must be a number or a string, but got {json.dumps(value)[:50]}.", name)
    return {name: value for name, value in fields.items() if value is not None}


def read_choice(request: HttpRequest, name: str, choices: Sequence[str]) -> str:
    """The field `name` of the request, one of `choices`; the first where it is left out. Raises `BadBody`."""
    value = str(read_body(request).get(name) or choices[0])
    if value not in choices:
        raise BadBody(f"{name} must be one of {', '.join(choices)}, but got {value!r}."[:200], name)
    return value


def refuse(errors: dict[str, list[str]], status: int = 400) -> JsonResponse:
    """`{"errors": {field: [sentence, …]}}`; the field of a body that cannot be read is `body`."""
    return JsonResponse({"errors": errors}, status=status)
