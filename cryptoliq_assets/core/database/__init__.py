"""The Postgres database of `CRYPTOLIQ_POSTGRES_URL`: connections, schema, and the markets that share it.

SQLAlchemy, alembic and the driver are imported at the first connection. Statements about one table belong to the package
that owns it; its migration belongs in `migrations/versions/`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
