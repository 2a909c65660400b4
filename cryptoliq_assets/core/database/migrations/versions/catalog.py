"""Markets and their catalogs of received files."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "cryptoliq_markets",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("location", sa.Text, nullable=False, unique=True),
        sa.Column("import_pending", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "cryptoliq_files",
        sa.Column("market", sa.Text, sa.ForeignKey("cryptoliq_markets.id"), primary_key=True),
        sa.Column("arrival", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("arrived_at", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("dates", sa.Text, nullable=False),
        sa.Column("archived_as", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("ctime_ns", sa.BigInteger),
        sa.Column("received_by", sa.Text, nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'accepted', 'refused', 'superseded')", name="cryptoliq_files_state"),
    )
    op.create_index("cryptoliq_files_by_name", "cryptoliq_files", ["market", "name", "arrival"])


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("cryptoliq_files")
    op.drop_table("cryptoliq_markets")
