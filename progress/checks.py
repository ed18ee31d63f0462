"""What `manage.py check` says of this package's settings."""

from __future__ import annotations

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

LAYER = "progress.layer.ProgressChannelLayer"


@register("progress")
def check_settings(**_: object) -> list[CheckMessage]:
    """E001 to E004: the source, the channel layer, its hosts, its encryption."""
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
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get("default", {})
    config = layer.get("CONFIG", {})
    if not layer.get("BACKEND"):
        found.append(
            Error("There is no default channel layer.", hint=f"Set its BACKEND to {LAYER!r}.", id="progress.E002")
        )
    if len(config.get("hosts", [])) != 1:
        found.append(
            Error(
                f"The channel layer must have one host, but has {len(config.get('hosts', []))}.",
                hint="The live record and its messages are written by one script on one server.",
                id="progress.E003",
            )
        )
    if config.get("symmetric_encryption_keys"):
        found.append(
            Error(
                "The channel layer's symmetric_encryption_keys are not supported.",
                hint="The record's script writes the payload itself. Use TLS to Redis: rediss://…",
                id="progress.E004",
            )
        )
    return found
