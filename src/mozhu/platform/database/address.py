"""Where a database is: a file, or a PostgreSQL server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from mozhu.kernel.errors import BadDatabaseAddress

_POSTGRES = ("postgres", "postgresql", "postgresql+psycopg")


@dataclass(frozen=True)
class Address:
    """``shown`` may be printed: it holds no password."""

    url: URL
    shown: str

    @property
    def is_postgres(self) -> bool:
        return self.url.get_backend_name() == "postgresql"

    @property
    def path(self) -> Path:
        """The file of a SQLite database."""
        return Path(self.url.database or "")


def read_address(where: Path | str) -> Address:
    """``where`` understood: a path, ``sqlite:///path``, ``postgresql://…``.

    Raises:
        BadDatabaseAddress: REG-017.
    """
    if isinstance(where, Path) or "://" not in where:
        return Address(URL.create("sqlite", database=str(where)), str(where))
    try:
        url = make_url(where)
    except (ArgumentError, ValueError) as error:
        raise BadDatabaseAddress(scheme=where.partition("://")[0]) from error
    if url.drivername in _POSTGRES and url.database:
        url = url.set(drivername="postgresql+psycopg")
        return Address(url, url.render_as_string(hide_password=True))
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return Address(url, url.database)
    raise BadDatabaseAddress(scheme=url.drivername)


def is_address(where: Path | str) -> bool:
    """Whether ``where`` is an address and not a path."""
    return isinstance(where, str) and "://" in where
