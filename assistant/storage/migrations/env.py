"""Run by Alembic; the connection comes from Database.migrate, or from `make migration` for a new one."""

from alembic import context

from assistant.storage.tables import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
