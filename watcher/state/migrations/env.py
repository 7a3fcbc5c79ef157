"""Alembic's entry point: it runs on the connection that the store hands over, inside its transaction."""

from alembic import context

from watcher.state.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    render_as_batch=True,
)
context.run_migrations()
