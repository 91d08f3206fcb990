"""Alembic's way into a connection that is already there, with the transaction that its owner began."""

from __future__ import annotations

from alembic import context

from mozhu.platform.database.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
