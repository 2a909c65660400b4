"""Which client opens a URL, and with which limits. Clients are imported only for a URL of their kind."""

from typing import Any

from cryptoliq_assets.core.object_store.errors import CallLimits

_S3, _GCS = ("s3", "s3a"), ("gs", "gcs")


def client_options(scheme: str, limits: CallLimits, *, use: str) -> dict[str, Any]:
    """Return the options of fsspec's client for a scheme, and register the limited client of the scheme.

    Listings are not cached: otherwise a client keeps showing its first listing, and files that another process wrote later
    never appear.

    Args:
        scheme: Scheme of a URL.
        limits: Limits of each call; they apply to s3:// and gs://, which have a network behind them.
        use: What is stored there; each use has a client of its own, so what one caches is not shown by another.

    Returns:
        Options for the client.
    """
    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme not in _S3 + _GCS:
        return options
    from fsspec import register_implementation

    if scheme in _S3:
        from cryptoliq_assets.core.object_store.s3 import LimitedS3FileSystem as Client
    else:
        from cryptoliq_assets.core.object_store.gcs import LimitedGCSFileSystem as Client
    register_implementation(scheme, Client, clobber=True)
    return {**options, "limits": limits, "use": use}
