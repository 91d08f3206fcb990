"""Numbers as people read them."""

from __future__ import annotations

import math


def number(value: object, decimals: int = 4) -> str:
    """A number for a table: a dash for none, thousands separated, very small ones as powers of ten."""
    if value is None or value == "nan" or (isinstance(value, float) and math.isnan(value)):
        return "—"
    if value in ("inf", "-inf") or (isinstance(value, float) and math.isinf(value)):
        return "∞" if value in ("inf", math.inf) else "−∞"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or float(value).is_integer() and abs(value) >= 1000:
        return f"{value:,.0f}"
    if value and (abs(value) < 10**-decimals or abs(value) >= 1e9):
        return f"{value:.2e}"
    return f"{value:,.{decimals}f}"
