"""Static files in production: names that carry the hash of the content, also where one module imports another."""

from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]


class Storage(CompressedManifestStaticFilesStorage):
    """Scripts are modules without a build step: what they import must be of the same version as they are."""

    support_js_module_import_aggregation = True
