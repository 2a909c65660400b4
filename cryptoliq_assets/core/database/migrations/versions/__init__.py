"""The migrations, one file each; `core.database.schema.REVISIONS` lists them in order."""

__all__: list[str] = []
