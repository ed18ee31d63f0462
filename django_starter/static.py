"""Static files whose names carry a hash of their content, so that browsers may keep them for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStorage(CompressedManifestStaticFilesStorage):
    """Django's manifest storage with WhiteNoise's compression, and with names in `import` of ES modules as well."""

    support_js_module_import_aggregation = True
