"""A database brought to the tables of today, by Alembic. Loaded only where a database is not there yet."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_STEPS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, found: str) -> None:
    """Every table and row of step ``found`` (empty: none) as today's tables have it, in one transaction.

    A file of a release that counted its schemas itself has no step written down; it is written down first.
    """
    config = Config()
    config.set_main_option("script_location", str(_STEPS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if found:
        command.stamp(config, found)
    command.upgrade(config, "head")
