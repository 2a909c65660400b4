"""Run the migrations on the connection that `core.database.schema` passes; alembic runs this file, an import does nothing."""

from alembic import context

from cryptoliq_assets.core.database.schema import VERSION_TABLE

_config = getattr(context, "config", None)
if _config is not None:
    context.configure(connection=_config.attributes["connection"], version_table=VERSION_TABLE)
    with context.begin_transaction():
        context.run_migrations()
