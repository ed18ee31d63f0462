"""Static files, below the path at which the site is served; with hashed names browsers may keep them for ever."""

from django.contrib.staticfiles.storage import StaticFilesStorage
from django.urls import get_script_prefix
from whitenoise.storage import CompressedManifestStaticFilesStorage


class _BelowItsPath(StaticFilesStorage):
    """Django settles STATIC_URL once, before the first request says what `--root-path` is."""

    @property
    def base_url(self) -> str:
        return f"{get_script_prefix()}static/"

    @base_url.setter
    def base_url(self, _: str) -> None:
        pass


class PlainStorage(_BelowItsPath):
    """Files as they are."""


class HashedStorage(_BelowItsPath, CompressedManifestStaticFilesStorage):
    """Django's manifest storage with WhiteNoise's compression, and with names in `import` of ES modules as well."""

    support_js_module_import_aggregation = True
