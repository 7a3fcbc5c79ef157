"""Cards, digests and silences."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("digest", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("card", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("silent", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("deliveries", sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("channels", sa.Column("paused_until", sa.BigInteger(), nullable=True))
    op.create_table(
        "cards",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("ts", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("edited", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("channel", "subject"),
    )
    op.create_table(
        "silences",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("task", sa.Text(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
