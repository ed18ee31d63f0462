"""What `manage.py check` says of this package's settings, and of what a project has to wire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import CellType

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from . import defaults
from .layer import ProgressChannelLayer
from .redis import is_sentinel
from .socket import progress_socket

LAYER = defaults.LAYER
OWNER = "progress.live.owner.OwnerMiddleware"
ADDRESS = 'Write PROGRESS = {"REDIS_URL": "redis://127.0.0.1:6379/0"} into the settings.'
ROUTES = """Write into the module that ASGI_APPLICATION names:
    from progress.asgi import with_progress
    application = with_progress(get_asgi_application())"""


@register("progress")
def check_settings(**_: object) -> list[CheckMessage]:
    """E001 to E006: the source, the channel layer, its hosts, its encryption; the address of Redis; unknown keys."""
    found: list[CheckMessage] = []
    source = getattr(settings, "PROGRESS_SOURCE", None)
    try:
        if not source:
            raise ImportError("it is not set")
        import_string(source)
    except ImportError as error:
        found.append(
            Error(
                f"PROGRESS_SOURCE does not name an object: {error}.",
                hint="Set it to the dotted path of a class with the methods of progress.source.Source.",
                id="progress.E001",
            )
        )
    unknown = sorted(set(defaults.given_in("PROGRESS")) - set(defaults.DEFAULTS))
    if unknown:
        found.append(
            Error(
                f"PROGRESS has {', '.join(map(repr, unknown))}, which nobody reads.",
                hint=f"It may have {', '.join(sorted(defaults.DEFAULTS))}.",
                id="progress.E006",
            )
        )
    if not getattr(settings, "PROGRESS_REDIS_URL", ""):
        return [*found, Error("Nobody says where Redis is.", hint=ADDRESS, id="progress.E005")]
    return [*found, *_check_layer()]


def _check_layer() -> Iterator[CheckMessage]:
    layer = (getattr(settings, "CHANNEL_LAYERS", None) or {}).get("default", {})
    config = layer.get("CONFIG", {})
    hosts = config.get("hosts", [])
    remove = "Remove CHANNEL_LAYERS: it follows from PROGRESS. Or set"
    if not layer.get("BACKEND"):
        yield Error(
            "There is no default channel layer.", hint=f"{remove} its BACKEND to {LAYER!r}.", id="progress.E002"
        )
    elif not _is_layer(layer["BACKEND"]):
        yield Error(
            f"The default channel layer is {layer['BACKEND']}, which the records' script cannot publish to.",
            hint=f"{remove} its BACKEND to {LAYER!r}; it serves other consumers as well.",
            id="progress.E007",
        )
    if len(hosts) != 1:
        yield Error(
            f"The channel layer must have one host, but has {len(hosts)}.",
            hint="The live record and its messages are written by one script on one server.",
            id="progress.E003",
        )
    elif (address := _address(hosts[0])) and address != settings.PROGRESS_REDIS_URL:
        yield Error(
            "The channel layer and PROGRESS name two servers: no page would hear what is published.",
            hint=f"{remove} its hosts to [progress.redis.layer_host(…)] with the address that PROGRESS has.",
            id="progress.E008",
        )
    if config.get("symmetric_encryption_keys"):
        yield Error(
            "The channel layer's symmetric_encryption_keys are not supported.",
            hint="The record's script writes the payload itself. Use TLS to Redis: rediss://…",
            id="progress.E004",
        )


@register("progress")
def check_addresses(**_: object) -> list[CheckMessage]:
    """E009 and E010: the snapshot over HTTP, and the socket."""
    found: list[CheckMessage] = []
    try:
        reverse("progress:snapshot", args=["a"])
    except NoReverseMatch:
        found.append(
            Error(
                "No address leads to progress.urls: a bar could not be shown.",
                hint='Write path("api/tasks/", include("progress.urls")) into urlpatterns.',
                id="progress.E009",
            )
        )
    except (ImportError, ImproperlyConfigured):  # Django's own check says it
        pass
    named = getattr(settings, "ASGI_APPLICATION", None)
    if not named:
        project = str(getattr(settings, "ROOT_URLCONF", "project")).partition(".")[0]
        found.append(
            Error(
                "ASGI_APPLICATION is not set: no server would open a socket.",
                hint=f'Write ASGI_APPLICATION = "{project}.asgi.application" into the settings. {ROUTES}',
                id="progress.E010",
            )
        )
        return found
    try:
        application = import_string(named)
    except ImportError as error:
        why = f"ASGI_APPLICATION cannot be imported: {error}."
        return [*found, Error(why, hint=ROUTES, id="progress.E010")]
    if not leads_to(application, progress_socket):
        why = f"{named} has no route to the sockets of progress."
        found.append(Error(why, hint=ROUTES, id="progress.E010"))
    return found


@register("progress")
def check_owner(**_: object) -> list[CheckMessage]:
    """E011: with the source that is brought along, a middleware says who starts what."""
    if getattr(settings, "PROGRESS_SOURCE", None) != defaults.SOURCE or OWNER in settings.MIDDLEWARE:
        return []
    return [
        Error(
            "No middleware says whose request it is: nobody could watch what they have started.",
            hint=f"Write {OWNER!r} into MIDDLEWARE, below AuthenticationMiddleware.",
            id="progress.E011",
        )
    ]


#: Wrappers around a route that are looked through; and what is looked at in all.
MAX_DEPTH, MAX_LOOKS = 16, 2_000


def leads_to(application: object, wanted: object) -> bool:
    """True if `wanted` is somewhere within an ASGI application: routers and middleware hold what they wrap."""
    seen: set[int] = set()
    level = [application]
    for _ in range(MAX_DEPTH):
        following: list[object] = []
        for one in level:
            if one is wanted:
                return True
            if id(one) not in seen and len(seen) < MAX_LOOKS:
                seen.add(id(one))
                following += _within(one)
        level = following
    return False


def _within(one: object) -> list[object]:
    if isinstance(one, Mapping):
        return list(one.values())
    if isinstance(one, (list, tuple)):
        return list(one)
    if isinstance(one, (str, bytes, int, float, type)) or one is None:
        return []
    cells = getattr(one, "__closure__", None) or ()
    held = [cell.cell_contents for cell in cells if _is_filled(cell)]
    attributes = getattr(one, "__dict__", None)
    return [*held, *(attributes.values() if isinstance(attributes, dict) and not _is_module(one) else ())]


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _is_module(one: object) -> bool:
    return type(one).__name__ == "module"


def _is_layer(named: str) -> bool:
    try:
        found = import_string(named)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, ProgressChannelLayer)


def _address(host: object) -> str:
    """The address in an entry of `hosts`; "" for Sentinels, and for a pair of host and port."""
    found = host.get("address") if isinstance(host, Mapping) else host
    return found if isinstance(found, str) and not is_sentinel(found) else ""
