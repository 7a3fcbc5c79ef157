"""What moves at every step gets columns of its own, and the history is sorted by bands of tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_COLUMNS = "number, task_no, time, life, step, epoch, loss, changes"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("spacing", sa.Float(), nullable=True))
    op.add_column("accounts", sa.Column("hint", sa.Text(), nullable=False, server_default=""))
    op.add_column("tasks", sa.Column("moved", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("tasks", sa.Column("step", sa.BigInteger(), nullable=True))
    op.add_column("tasks", sa.Column("epoch", sa.BigInteger(), nullable=True))
    op.add_column("tasks", sa.Column("loss", sa.Float(), nullable=True))
    op.add_column("tasks", sa.Column("updated", sa.Text(), nullable=True))
    op.add_column("tasks", sa.Column("estimated", sa.BigInteger(), nullable=True))
    op.create_table(
        "history_by_band",
        sa.Column("band", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("task_no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("life", sa.Integer(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=True),
        sa.Column("loss", sa.Float(), nullable=True),
        sa.Column("changes", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["task_no"], ["tasks.no"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("band", "number", "task_no"),
        sqlite_with_rowid=False,
    )
    op.execute(
        f"INSERT INTO history_by_band (band, {_COLUMNS}) SELECT task_no / 32, {_COLUMNS} FROM history "  # noqa: S608
        "ORDER BY task_no / 32, number, task_no"
    )
    op.drop_table("history")
    op.rename_table("history_by_band", "history")
