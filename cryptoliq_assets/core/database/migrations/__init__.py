"""Alembic's environment and the migrations of the Postgres database.

Files of `versions/` are applied in the order of their revisions and never changed once released.
"""

__all__: list[str] = []
