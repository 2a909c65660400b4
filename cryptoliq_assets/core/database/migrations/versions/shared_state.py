"""What machines share besides the catalog: the audit log of models, documents, and statistics of predictions."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "cryptoliq_ledger",
        sa.Column("models", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("line", sa.Text, nullable=False),
    )
    op.create_table(
        "cryptoliq_documents",
        sa.Column("market", sa.Text, sa.ForeignKey("cryptoliq_markets.id"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_table(
        "cryptoliq_prediction_days",
        sa.Column("market", sa.Text, sa.ForeignKey("cryptoliq_markets.id"), primary_key=True),
        sa.Column("home", sa.Text, primary_key=True),
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("stats", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("cryptoliq_prediction_days", "cryptoliq_documents", "cryptoliq_ledger"):
        op.drop_table(table)
