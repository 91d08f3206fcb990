"""Alembic's way into a connection that is already there, with the transaction that its owner began."""

from __future__ import annotations

from alembic import context

from mozhu.platform.database import tables_assets

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables_assets.SearchGram.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
