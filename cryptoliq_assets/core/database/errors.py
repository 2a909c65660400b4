"""The one error with which work ends that the database of `CRYPTOLIQ_POSTGRES_URL` did not do."""

from cryptoliq_assets.core.object_store import StoreUnavailableError


class DatabaseUnavailableError(StoreUnavailableError):
    """The database cannot be reached, or rejects what is asked; the message has its reason and no password."""
