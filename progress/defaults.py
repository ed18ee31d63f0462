"""`PROGRESS = {"REDIS_URL": …}`: all that this package is told, with defaults for all but the address of Redis.

A setting may also be written by itself, with the prefix PROGRESS_, and then takes precedence over the dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from django.conf import settings

#: Celery without stored runs. A project with a table of runs names a source of its own.
SOURCE = "progress.live.source.LiveSource"
LAYER = "progress.layer.ProgressChannelLayer"

#: Each key of the dict, and what it is where nothing is said.
DEFAULTS: Mapping[str, object] = {
    "REDIS_URL": "",
    "PREFIX": "progress",
    "SOURCE": SOURCE,
    "PROXIES": 0,
    "MAX_SOCKETS": 0,
    "LOG_LINES": 1_000,
    "TTL": 24 * 3600,
    "SENTINEL_MASTER": "mymaster",
    "SENTINEL_PASSWORD": "",
}
#: Settings whose name has another prefix.
NAMES = {"SENTINEL_MASTER": "REDIS_SENTINEL_MASTER", "SENTINEL_PASSWORD": "REDIS_SENTINEL_PASSWORD"}


def fill() -> None:
    """Set what the project's settings leave out, and the channel layer where there is none at all."""
    given = given_in("PROGRESS")
    for key, default in DEFAULTS.items():
        put(NAMES.get(key, f"PROGRESS_{key}"), given.get(key, default))
    if not getattr(settings, "CHANNEL_LAYERS", None) and settings.PROGRESS_REDIS_URL:
        settings.CHANNEL_LAYERS = {"default": layer()}


class LayerConfig(TypedDict):
    """What the channel layer is made with."""

    hosts: list[dict[str, object]]
    prefix: str


class Layer(TypedDict):
    """An entry of CHANNEL_LAYERS."""

    BACKEND: str
    CONFIG: LayerConfig


def layer() -> Layer:
    """The channel layer on the server of the live records."""
    from .redis import layer_host

    config: LayerConfig = {"hosts": [layer_host(settings.PROGRESS_REDIS_URL)], "prefix": settings.PROGRESS_PREFIX}
    return {"BACKEND": LAYER, "CONFIG": config}


def given_in(name: str) -> dict[str, object]:
    """The dict of that name in the settings; empty where there is none, or what is there is no dict."""
    found = getattr(settings, name, None)
    return dict(found) if isinstance(found, Mapping) else {}


def put(name: str, value: object) -> None:
    """Set a setting that the project does not have."""
    if not hasattr(settings, name):
        setattr(settings, name, value)
