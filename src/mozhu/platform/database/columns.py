"""Types of columns that are the same in tables and in the steps that made them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer

# SQLite counts up only a column that is an INTEGER.
BIG = BigInteger().with_variant(Integer, "sqlite")
