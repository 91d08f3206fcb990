"""The steps that bring the tables of an earlier release up to those of today; no row is lost on the way.

A step changes tables that were there; tables that are new are made afterwards (``create_all``).
"""

from __future__ import annotations

from sqlalchemy import Connection

# Schema number -> what turns its tables into those of the next number.
_STEPS: dict[int, tuple[str, ...]] = {
    1: ("ALTER TABLE history ADD COLUMN subject VARCHAR(20) NOT NULL DEFAULT 'model'",),
}


def bring_forward(connection: Connection, found: int) -> None:
    """The tables of schema ``found`` are those of the newest one, but for new tables."""
    for number in range(found, max(_STEPS) + 1):
        for statement in _STEPS[number]:
            connection.exec_driver_sql(statement)
