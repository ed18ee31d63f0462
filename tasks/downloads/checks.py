"""What `manage.py check` says of the settings of downloads."""

from __future__ import annotations

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.files.storage import InvalidStorageError

from .files import storage
from .source import check_template


@register("downloads")
def check_settings(**_: object) -> list[CheckMessage]:
    """E001: the source's address. E002: the storage of the files."""
    found: list[CheckMessage] = []
    try:
        check_template(settings.DOWNLOAD_SOURCE_URL)
    except ValueError as error:
        hint = "Such as https://reports.example.com/{seller_id}/{day}.csv"
        found.append(Error(str(error), hint=hint, id="downloads.E001"))
    try:
        storage()
    except (InvalidStorageError, ImportError, TypeError) as error:
        hint = "DOWNLOAD_STORAGE names a Django storage by its dotted path, DOWNLOAD_STORAGE_OPTIONS is JSON."
        found.append(Error(f"The storage for downloads cannot be made: {error}", hint=hint, id="downloads.E002"))
    return found
