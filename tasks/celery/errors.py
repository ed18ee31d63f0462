"""A task's exception as JSON in its row, and back; and the error callbacks that are given it."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from billiard.einfo import ExceptionWithTraceback as Parcel  # type: ignore[attr-defined]  # not in its types
from celery import current_app, group
from celery import exceptions as celery_exceptions
from celery.app.task import Context
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded, WorkerLostError
from celery.utils.saferepr import saferepr as safe_repr
from celery.utils.serialization import UnpickleableExceptionWrapper, get_pickleable_exception
from django.db import transaction
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from progress.messages import TaskError
from progress.types import JSON
from tasks.models import State, TaskRun
from tasks.runs import CANCELLED
from tasks.runs.message import MAX_ERROR, plain, storable

from . import children
from .types import Options, Signature

if TYPE_CHECKING:
    from .results import RunBackend

logger = logging.getLogger(__name__)

#: Causes of causes that are kept.
MAX_CAUSES = 5
#: Characters of JSON that are kept of what makes an exception anew.
MAX_RAISED = 32 * 1024
#: What Celery says of a run that was revoked.
REASONS = {"Cancelled": "revoked", "Expired": "expired"}


class Raised(TypedDict, total=False):
    """What makes an exception anew: `name` is qualified, `args` are JSON, `repr` is what Python shows of it.

    `wrapped`: it cannot be pickled, and is given as Celery gives such: in a wrapper that names it.
    """

    module: str | None
    name: str
    args: list[JSON]
    repr: str
    wrapped: bool
    cause: Raised


class StoredError(TaskError):
    """The error in a row. Viewers get its type and message only."""

    raised: NotRequired[Raised]


def describe(exception: object, limits: tuple[float | None, float | None] = (None, None)) -> StoredError:
    """What is stored of an exception: what a viewer may read of it, and under "raised" what makes it anew.

    `limits`: the task's hard and soft time limit in seconds, which Celery's exceptions do not name. Celery's own
    description of one (`{"exc_type", "exc_message"}`) is taken as well. Never raises: an end is recorded.
    """
    exception = unwrapped(exception)
    try:
        return _described(exception, limits)
    except Exception:
        name = type(exception).__name__
        logger.exception("An error of the class %s cannot be described.", name)
        return {"type": name, "message": f"({name}, which cannot be described)"}


def _described(exception: object, limits: tuple[float | None, float | None]) -> StoredError:
    if isinstance(exception, dict) and "exc_type" in exception:
        message = exception.get("exc_message", "")
        args = list(message) if isinstance(message, (list, tuple)) else [message]
        module = exception.get("exc_module")
        name = plain(text_of(exception["exc_type"]))
        text = plain(", ".join(map(text_of, args)))[:MAX_ERROR]
        raised = _bounded({"module": module and _short(module), "name": name, "args": _kept_args(args)}, text)
        return {"type": name.rpartition(".")[2], "message": text, "raised": raised}
    if isinstance(exception, UnpickleableExceptionWrapper):
        name = plain(text_of(exception.exc_cls_name))
        text = plain(", ".join(map(text_of, exception.exc_args or ())) or name)[:MAX_ERROR]
        return {"type": name, "message": text, "raised": _bounded(_parts(exception), text)}
    if isinstance(exception, TimeLimitExceeded) and isinstance((*exception.args, None)[0], (int, float)):
        text = f"The task was ended at its time limit of {exception.args[0]:g} s."
    elif isinstance(exception, SoftTimeLimitExceeded) and limits[1]:
        text = f"The task ran into its soft time limit of {limits[1]:g} s."
    else:
        text = text_of(exception) or type(exception).__name__
    text = plain(text)[:MAX_ERROR]
    return {"type": type(exception).__name__, "message": text, "raised": _bounded(_parts(exception), text)}


def revoked(reason: str) -> StoredError:
    """What is stored of a run that was revoked for a `reason` of Celery's: revoked, terminated, expired."""
    raised: Raised = {
        "module": celery_exceptions.__name__,
        "name": "TaskRevokedError",
        "args": [plain(reason or "revoked")],
    }
    return {"type": CANCELLED["type"], "message": CANCELLED["message"], "raised": raised}


def _parts(exception: object, depth: int = 0) -> Raised:
    """What makes the exception anew, as Celery would: its class, or the nearest one that can be pickled; its arguments;
    and what it was raised from."""
    kept = get_pickleable_exception(cast(Exception, exception))
    cls = type(kept)
    if isinstance(kept, UnpickleableExceptionWrapper):
        name, args = kept.exc_cls_name, kept.exc_args
        parts: Raised = {"module": _short(kept.exc_module), "name": _short(name), "wrapped": True}
    else:
        name, args = getattr(cls, "__qualname__", cls.__name__), getattr(kept, "args", ())
        parts = {"module": _short(cls.__module__), "name": _short(name)}
    parts["args"], parts["repr"] = _kept_args(args or ()), _short(safe_repr(exception))
    cause = getattr(exception, "__cause__", None)
    if isinstance(cause, BaseException) and depth < MAX_CAUSES:
        parts["cause"] = _parts(cause, depth + 1)
    return parts


def _kept_args(args: Iterable[object]) -> list[JSON]:
    """Each argument as JSON, or, where it is none, as Python shows it."""
    kept: list[JSON] = []
    for one in args:
        try:
            kept.append(storable(kombu_dumps(one)))
        except (TypeError, ValueError, RecursionError):
            kept.append(plain(safe_repr(one)))
        except Exception:  # an object's own idea of JSON
            kept.append(f"({type(one).__name__})")
    return kept


def _bounded(raised: Raised, text: str) -> Raised:
    """Without its cause, or with its text alone, where more would be too much for a row."""
    if len(json.dumps(raised)) > MAX_RAISED:
        raised.pop("cause", None)
    if len(json.dumps(raised)) > MAX_RAISED:
        raised["args"] = [text]
    return raised


def _short(text: object) -> str:
    return plain(text_of(text))[:MAX_ERROR]


def unwrapped(exception: object) -> object:
    """The exception within billiard's parcel of one and its traceback."""
    return exception.exc if isinstance(exception, Parcel) else exception


def text_of(value: object) -> str:
    """`str(value)`, whatever its `__str__` does."""
    try:
        return str(value)
    except Exception:
        return f"({type(value).__name__}, whose text cannot be made)"


def rebuilt(run: TaskRun) -> BaseException:
    """The exception of a run that ended badly: its class, its arguments and its cause, as far as they can be made."""
    error = cast(StoredError, run.error or {"type": "Error", "message": ""})
    raised = error.get("raised")
    if run.state == State.REVOKED and not raised:
        return TaskRevokedError(REASONS.get(error["type"], error["message"]))
    if raised:
        return _made(raised)
    if error["type"] == "WorkerLost":
        return WorkerLostError(error["message"])
    module = celery_exceptions if error["type"] in vars(celery_exceptions) else None
    found: BaseException = current_app.backend.exception_to_python(
        {"exc_type": error["type"], "exc_message": [error["message"]], "exc_module": module and module.__name__}
    )
    return found


def _made(raised: Raised) -> BaseException:
    args = tuple(kombu_loads(json.dumps(raised.get("args") or [])))
    module, name, text = str(raised.get("module") or ""), raised["name"], raised.get("repr") or ""
    made: BaseException
    if raised.get("wrapped"):
        made = UnpickleableExceptionWrapper(module, name, args, text or f"{name}{args!r}")
    else:
        if module and module not in sys.modules and module != "__main__":
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        made = current_app.backend.exception_to_python(
            {"exc_type": name, "exc_message": list(args), "exc_module": module or None}
        )
    not_made = type(made) is Exception and name != "Exception"  # its class does not take its own arguments
    if made.args != args and not not_made and not raised.get("wrapped"):
        with contextlib.suppress(Exception):  # one that made a text of its arguments has done so before
            made.args = args
    if cause := raised.get("cause"):
        made.__cause__ = _made(cause)
    return made


def call_back(run: TaskRun, errbacks: list[Signature], options: Options) -> None:
    """Call the run's error callbacks, each once, as Celery does: with a task's id, or with request, error, traceback.

    Those of the second kind run here, after the commit; those of the first are runs of their own.
    """
    request = Context(
        id=run.pk,
        task=run.name,
        args=run.args,
        kwargs=run.kwargs,
        errbacks=errbacks,
        group=run.group_id,
        root_id=options.get("root_id") or run.pk,
        parent_id=run.parent_id,
        delivery_info={"routing_key": run.queue, "priority": options.get("priority")},
        is_eager=False,
    )
    exception, traceback = rebuilt(run), run.traceback or None
    backend = cast("RunBackend", current_app.backend)
    at_once: list[Signature] = []
    later: list[Signature] = []
    for one in errbacks:
        (at_once if backend.is_called_at_once(one) else later).append(one)
    given: Options = {"parent_id": run.pk, "root_id": options.get("root_id") or run.pk}
    for one in later:
        try:
            with transaction.atomic():
                errbacks_group = group([current_app.signature(one)], app=current_app)
                children.add(run, [errbacks_group.apply_async((run.pk,), add_to_parent=False, **given)])
        except Exception:
            logger.exception("An error callback of %s could not be started.", run)

    def call_at_once() -> None:
        for one in at_once:
            try:
                backend.call_errbacks(Context(request.__dict__, errbacks=[one]), exception, traceback)
            except BaseException:  # sys.exit() in one of them is no reason to leave out the others
                logger.exception("An error callback of %s failed.", run)

    if at_once:
        transaction.on_commit(call_at_once, robust=True)
