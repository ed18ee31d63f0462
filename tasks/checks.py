"""What `manage.py check`, and a worker at its start, say of settings under which the promises could not be kept."""

from __future__ import annotations

from celery import current_app
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from . import defaults
from .celery import install
from .celery.results import RunBackend
from .celery.task import TrackedTask
from .schedules.entry import entries
from .web.middleware import OwnerMiddleware

MIDDLEWARE = "tasks.web.middleware.OwnerMiddleware"


@register("tasks")
def check_settings(**_: object) -> list[CheckMessage]:
    """E001: times without a zone."""
    if settings.USE_TZ:
        return []
    return [
        Error(
            "USE_TZ is False: the times of runs have a time zone, or workers in two zones would not agree what is due.",
            hint="Write USE_TZ = True into the settings. TIME_ZONE may stay as it is.",
            id="tasks.E001",
        )
    ]


@register("tasks")
def check_schedules(**_: object) -> list[CheckMessage]:
    """E002: an entry that cannot be read, or rules of none. One with an unknown task is not: a worker may know it."""
    hint = "docs/SCHEDULES.md shows entries, and Celery's page on periodic tasks all of their fields."
    found = entries(stored=False)
    wrong = [f"CELERY_BEAT_SCHEDULE[{one.name!r}]: {one.problem}" for one in found.values() if one.when is None]
    rules = getattr(settings, "TASKS_SCHEDULE_RULES", {})
    if isinstance(rules, dict) and not apps.is_installed("django_celery_beat"):  # its tables may have the entry
        wrong += [f"TASKS_SCHEDULE_RULES[{name!r}]: no entry has this name." for name in rules if name not in found]
    return [Error(text, hint=hint, id="tasks.E002") for text in wrong]


@register("tasks")
def check_app(**_: object) -> list[CheckMessage]:
    """E011 to E015: an app of Celery that was not given what the promises need, or that says the opposite."""
    app = current_app
    if not install.is_installed(app):
        return [
            Error(
                f"Nobody called tasks.install() for the Celery app {app.main!r}: no task of it would be a run, and its"
                " workers would have no heart.",
                hint="Write tasks.install(app) below app.config_from_object(…), and into the __init__.py of the"
                " project's package: from .celery import app as celery_app",
                id="tasks.E011",
            )
        ]
    found: list[CheckMessage] = []
    if not issubclass(app.Task, TrackedTask):
        found.append(
            Error(
                f"The Celery app's task class {app.task_cls!r} is not made of {install.TASK_CLASS}.",
                hint=f"Leave task_cls=… out of Celery(…), or derive that class: from {install.TASK_CLASS.split(':')[0]}"
                " import TrackedTask",
                id="tasks.E012",
            )
        )
    if not _is(app.conf.result_backend, RunBackend):
        found.append(
            Error(
                f"The result backend is {_without_password(app.conf.result_backend)}: every task would be executed"
                " three times and recorded as FAILURE.",
                hint=f"Remove CELERY_RESULT_BACKEND, or write CELERY_RESULT_BACKEND = {install.RESULT_BACKEND!r}. To"
                ' keep another one, install only "progress".',
                id="tasks.E013",
            )
        )
    if "json" not in {str(kind).rpartition("/")[2] for kind in app.conf.accept_content or ()}:
        found.append(
            Error(
                f"Workers accept {list(app.conf.accept_content or ())!r}, but the messages of runs are JSON.",
                hint='Write CELERY_ACCEPT_CONTENT = ["json"], or add "json" to what is there.',
                id="tasks.E014",
            )
        )
    if app.conf.worker_cancel_long_running_tasks_on_connection_loss:
        found.append(
            Error(
                "A worker that loses its broker for a moment would cancel what it is doing, and the run would end.",
                hint="Write CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False, or remove the line.",
                id="tasks.E015",
            )
        )
    return found


@register("tasks")
def check_wiring(**_: object) -> list[CheckMessage]:
    """E016 to E019: whose request it is, who may watch, and that all of it is on one server."""
    found: list[CheckMessage] = []
    before = settings.MIDDLEWARE
    names = [name for name in before if _is(name, OwnerMiddleware)]
    if not names:
        found.append(
            Error(
                "No middleware says whose request it is: nobody could watch what they have started.",
                hint=f"Write {MIDDLEWARE!r} into MIDDLEWARE, below AuthenticationMiddleware.",
                id="tasks.E016",
            )
        )
    else:
        needed = "django.contrib.auth.middleware.AuthenticationMiddleware"
        if needed not in before[: before.index(names[0])]:
            found.append(
                Error(
                    f"{names[0]} comes before Django's AuthenticationMiddleware, or that one is missing: it cannot know"
                    " who is signed in.",
                    hint=f"In MIDDLEWARE, write {MIDDLEWARE!r} below {needed!r}.",
                    id="tasks.E017",
                )
            )
    if settings.REDIS_URL != settings.PROGRESS_REDIS_URL:
        found.append(
            Error(
                "REDIS_URL and PROGRESS name two servers: workers would beat where no page looks.",
                hint='Write the same address into both, or remove REDIS_URL: PROGRESS = {"REDIS_URL": "redis://…"} is'
                " enough.",
                id="tasks.E018",
            )
        )
    unknown = sorted(set(defaults.own()) - set(defaults.DEFAULTS))
    if unknown:
        found.append(
            Error(
                f"TASKS has {', '.join(map(repr, unknown))}, which nobody reads.",
                hint=f"It may have {', '.join(sorted(defaults.DEFAULTS))}.",
                id="tasks.E019",
            )
        )
    return found


def _is(named: object, wanted: type) -> bool:
    """True if `named`, a class or its path, is `wanted` or is made of it. One that cannot be imported is not."""
    if isinstance(named, str):
        try:
            named = import_string(named.replace(":", "."))
        except (ImportError, ValueError):
            return False
    return isinstance(named, type) and issubclass(named, wanted)


def _without_password(address: object) -> str:
    text = str(address)
    scheme, slashes, rest = text.partition("://")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}" if slashes else repr(address)
