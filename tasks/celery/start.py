"""A Celery call as a `runs.Start`: its message, its queue, and what follows it in a chain or chord."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from celery import Celery, current_app
from celery.app.task import Context
from celery.canvas import maybe_signature
from django.utils import timezone
from kombu import Message
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from progress.types import JSON
from tasks import runs
from tasks.models import new_id
from tasks.runs import NotAccepted, Start, trace
from tasks.runs.message import stored_message

from .options import check
from .routing import name_of, queue_of
from .types import CeleryTask, Options, Signature, TaskRequest

#: Options of apply_async that make sense in the caller's process only.
CALLERS_OPTIONS = frozenset(
    {"producer", "connection", "publisher", "router", "add_to_parent", "task_type", "result_cls"}
)


_follows: ContextVar[bool] = ContextVar("tasks_follows", default=False)


class NotEncodable(NotAccepted, EncodeError):
    """Arguments that are no JSON."""


def is_tracked(task: object) -> bool:
    """True if the starts of `task` are runs."""
    return bool(getattr(task, "tracked", False))


def start_of(
    task: CeleryTask,
    args: Sequence[object] | None,
    kwargs: Mapping[str, object] | None,
    options: Options,
    *,
    task_id: str | None = None,
    sent: bool = False,
) -> Start:
    """What is to be stored of `task.apply_async(args, kwargs, **options)`. Raises `NotAccepted`.

    `sent`: its message is there already, with whatever options.
    """
    options = dict(options)
    eta, countdown = time_of(options, "eta"), time_of(options, "countdown")
    expires = time_of(options, "expires")
    if eta is None and countdown is not None:
        options["countdown"] = round((countdown - timezone.now()).total_seconds(), 3)  # a span: see `runs.countdown`
    if "queue" in options:
        options["queue"] = getattr(options["queue"], "name", options["queue"])
    if not sent:
        check_options(task.name, options)
    parent = running_request()
    if parent is not None:
        options.setdefault("parent_id", parent.id)
        options.setdefault("root_id", parent.root_id or parent.id)
        if current_app.conf.task_inherit_parent_priority:
            options.setdefault("priority", (parent.delivery_info or {}).get("priority"))
    if request_id := trace.request_id():  # so that a worker's log lines name the request that led to them
        options["headers"] = {**(options.get("headers") or {}), "request_id": request_id}
    start = Start(
        id=task_id,
        name=task.name,
        message=message_of(task, args, kwargs, options),
        queue=queue_of(task, options),
        max_attempts=getattr(task, "max_attempts", 3),
        tries=1 + _count(options.get("retries")),
        max_tries=max_tries_of(task),
        priority=_priority(task, options),
        eta=eta or countdown,
        expires=expires,
        parent_id=options.get("parent_id"),
        group_id=options.get("group_id"),
        one_while_active=_active_values(task, args, kwargs),
        # A frozen signature has it, a caller's own `task_id` has not: that one means the same run.
        anew="reply_to" in options and not _follows.get(),
    )
    if options.get("chain"):
        start.id = start.id or options.get("task_id") or new_id()
        start.behind = behind(list(reversed(options["chain"])), start.id)[0]
    return start


@contextmanager
def following() -> Iterator[None]:
    """What is started here follows something that has ended: its rows are there, and one that has ended stays ended."""
    token = _follows.set(True)
    try:
        yield
    finally:
        _follows.reset(token)


#: In place of a group's id: something waits for the very last of this. If that is a group, its parts count in it.
FOLLOWED = ""


def is_following() -> bool:
    """True inside `following`."""
    return _follows.get()


def behind(signatures: list[Signature], after: str, group_id: str | None = None) -> tuple[list[Start], str]:
    """What waits one after the other for `after`: the starts, and the id of the last one, a part of `group_id`."""
    found: list[Start] = []
    for number, one in enumerate(signatures, 1):
        mine = group_id if number == len(signatures) else FOLLOWED
        more, after = _held(maybe_signature(one, app=current_app), after, mine)
        found.extend(more)
    return found, after


def _held(signature: Signature, after: str, group_id: str | None = None) -> tuple[list[Start], str]:
    """The starts of one frozen signature that waits for `after`, and the id that its own followers wait for.

    `group_id`: the group that waits for the last of them, or `FOLLOWED`.
    """
    options = signature.options
    kind = signature.get("subtask_type")
    chain = list(reversed(options.get("chain") or ()))
    mine = FOLLOWED if chain else group_id
    if kind == "chord":
        header_id = _group_id(signature.tasks, options.get("task_id") or "")
        members = [start for one in _parts(signature.tasks) for start in _held(one, after, header_id)[0]]
        body, last = _held(maybe_signature(signature.body, app=current_app), header_id, mine)
        found = [*members, *body]
    elif kind == "group":
        last = options.get("task_id") or after
        within = last if mine == FOLLOWED else mine
        found = [start for one in _parts(signature.tasks) for start in _held(one, after, within)[0]]
    elif kind == "chain":
        found, last = behind(list(signature.tasks), after, mine)
    else:
        found, last = _leaf(signature, after, mine)
    if chain:
        more, last = behind(chain, last, group_id)
        found.extend(more)
    return found, last


def _parts(tasks: Signature) -> Iterator[Signature]:
    """The parts of a group, of groups within it as well."""
    for one in _members(tasks):
        if one.get("subtask_type") == "group":
            yield from _parts(one.tasks)
        else:
            yield one


def _leaf(signature: Signature, after: str, group_id: str | None) -> tuple[list[Start], str]:
    task_id, task = signature.options.get("task_id"), current_app.tasks.get(signature.task)
    if not task_id:
        return [], after
    if task is None or not is_tracked(task):
        return [], task_id
    start = Start(id=task_id, name=task.name, message={}, queue=queue_of(task, signature.options), after=after)
    start.max_attempts, start.max_tries = getattr(task, "max_attempts", 3), max_tries_of(task)
    start.group_id, start.anew = signature.options.get("group_id"), not _follows.get()
    if group_id:
        start.group_id = group_id
    if start.group_id == after:
        start.group_id = None  # Celery says of a body that it is in the group that it waits for
    parent = running_request()
    start.parent_id = parent.id if parent is not None else None
    return [start], task_id


def _members(tasks: Signature) -> list[Signature]:
    inner: Signature = getattr(tasks, "tasks", tasks)
    return [maybe_signature(one, app=current_app) for one in inner]


def _group_id(tasks: Signature, default: str) -> str:
    """The id of a chord's header: that of its group, or of the members that were frozen with it."""
    options = getattr(tasks, "options", None)
    if options and options.get("task_id"):
        return str(options["task_id"])
    for one in _members(tasks):
        if one.options.get("group_id"):
            return str(one.options["group_id"])
    return default


def adopted(task: CeleryTask, request: TaskRequest) -> Start:
    """What is to be stored of a message that another program has sent: all that it carries."""
    delivery = request.delivery_info or {}
    options = {
        "parent_id": request.parent_id,
        "root_id": request.root_id,
        "group_id": getattr(request, "group", None),
        "group_index": getattr(request, "group_index", None),
        "chain": request.chain,
        "chord": request.chord,
        "link": request.callbacks,
        "link_error": request.errbacks,
        "priority": delivery.get("priority"),
        "queue": delivery.get("routing_key") or None,
        "shadow": getattr(request, "shadow", None),
        "headers": getattr(request, "headers", None),
        "retries": request.retries or None,
    }
    hard, soft = request.timelimit or (None, None)
    options.update(time_limit=hard, soft_time_limit=soft, expires=request.expires, eta=request.eta)
    options = {key: value for key, value in options.items() if value is not None}
    if "queue" in options and options["queue"] not in current_app.amqp.queues:
        del options["queue"]
    return start_of(task, request.args, request.kwargs, options, task_id=request.id, sent=True)


@dataclass(frozen=True)
class UnknownTask:
    """A task that nobody here knows, as far as its message says."""

    name: str
    app: Celery


def adopt_unknown(app: Celery, message: Message) -> None:
    """Store the run of a message whose task no code here knows, with all that waits for it."""
    headers = message.headers
    args, kwargs, embed = message.decode()
    request = Context(headers, args=args, kwargs=kwargs, delivery_info=message.delivery_info, **(embed or {}))
    runs.adopt(adopted(UnknownTask(headers["task"], app), request))


def message_of(
    task: CeleryTask, args: Sequence[object] | None, kwargs: Mapping[str, object] | None, options: Options
) -> dict[str, JSON]:
    """`{"args", "kwargs", "options"}` as JSON. Raises `NotAccepted`."""
    kept = {key: value for key, value in options.items() if key not in CALLERS_OPTIONS and value is not None}
    kept.update({key: name_of(kept[key]) for key in ("queue", "exchange") if key in kept})
    message = {"args": list(args or ()), "kwargs": dict(kwargs or {}), "options": kept}
    try:
        text = kombu_dumps(message)
        if '"__type__"' in text:
            kombu_loads(text)  # a value that says of itself what it is not could not be sent
    except Exception as error:  # also what an argument's own idea of JSON raises, and one that is nested too deep
        raise NotEncodable(f"The arguments of {task.name} must be JSON: {type(error).__name__}: {error}") from error
    try:
        return stored_message(task.name, text)
    except NotAccepted as error:
        if isinstance(error.__cause__, ValueError):
            raise NotEncodable(str(error)) from error.__cause__
        raise


def check_options(name: str, options: Options) -> None:
    """Raises `NotAccepted` for an option with which no broker would take the message: it names it."""
    try:
        check(options)
    except (TypeError, ValueError) as error:
        raise NotAccepted(f"{name} cannot be started. {error}.") from error


def time_of(options: Options, name: str) -> datetime | None:
    """That option, taken out, as a time. Raises `NotAccepted` for what is none."""
    value = options.pop(name, None)
    try:
        return moment(value)
    except (TypeError, ValueError, OverflowError) as error:
        told = f"{name} must be a time, or a number of seconds from now, of the years 1 to 9999"
        raise NotAccepted(f"{told}, but got {value!r}."[:300]) from error


def moment(value: datetime | str | float | None) -> datetime | None:
    """An eta, or a number of seconds from now, as a time."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, str):
        return moment(datetime.fromisoformat(value))
    return timezone.now() + timedelta(seconds=float(value))


def running_request() -> TaskRequest:
    """The request of the task that is running here, if one is."""
    task = current_app.current_worker_task
    return task.request if task is not None and task.request.id else None


def max_tries_of(task: CeleryTask, *, overridden: bool = False) -> int | None:
    """How often the task may be tried: once, and by its retries; None: any number. `overridden`: by `retry()`."""
    own = getattr(task, "retry_kwargs", None) or {}
    most = own.get("max_retries", getattr(task, "max_retries", None))
    if overridden:
        most = getattr(task, "override_max_retries", most)
    return None if most is None else 1 + _count(most)


def _count(value: object) -> int:
    """A number of retries as a column holds it."""
    return min(max(value, 0), 2**31 - 2) if isinstance(value, int) else 0


def _priority(task: CeleryTask, options: Options) -> int | None:
    priority = options.get("priority", getattr(task, "priority", None))
    return priority if isinstance(priority, int) and not isinstance(priority, bool) else None


def _active_values(
    task: CeleryTask, args: Sequence[object] | None, kwargs: Mapping[str, object] | None
) -> list[JSON] | None:
    """The values of the arguments in `one_while_active`, defaults included; None where the task has none."""
    names = getattr(task, "one_while_active", ())
    if not names:
        return None
    given = inspect.signature(task.run).bind(*(args or ()), **(kwargs or {}))
    given.apply_defaults()
    return [_plain(given.arguments.get(name)) for name in names]


def _plain(value: object) -> JSON:
    return value if isinstance(value, (str, int, float, bool, type(None))) else kombu_dumps(value)
