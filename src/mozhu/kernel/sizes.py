"""Sizes as people write them: ``2GB``, ``500MB``, ``1GiB``."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(written: str) -> int:
    """Bytes; ``GB`` counts in powers of 1000 as the model libraries do, ``GiB`` in powers of 1024.

    Raises:
        ValueError: ``written`` is no size, or none above zero.
    """
    match = _SIZE.fullmatch(written.strip())
    if match is None:
        raise ValueError(written)
    unit = 1024 if match[3] else 1000
    size = int(float(match[1]) * unit ** _POWERS[match[2].upper()])
    if size <= 0:
        raise ValueError(written)
    return size
