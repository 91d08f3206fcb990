"""How many rows a training may lose before it does not begin."""

from __future__ import annotations

from typing import Any

from mozhu.kernel.errors import TooManyLostRows
from mozhu.specs.train import TrainSpec


def check_lost(spec: TrainSpec, numbers: list[dict[str, Any]]) -> None:
    """No data set loses more rows than ``spec`` allows.

    Args:
        numbers: ``ref``, ``rows``, ``rejected``, ``dropped`` and ``reasons`` of each data set.

    Raises:
        TooManyLostRows: TRAIN-008 of the first that does.
    """
    for each in numbers:
        params = lost_params(spec, each)
        if params:
            raise TooManyLostRows(**params)


def lost_params(spec: TrainSpec, numbers: dict[str, Any]) -> dict[str, Any] | None:
    """The parameters of TRAIN-008 when a data set loses too many rows, else ``None``."""
    total, lost = numbers["rows"] + numbers["rejected"], numbers["rejected"] + numbers["dropped"]
    if not lost or lost / total <= spec.max_rejected_share:
        return None
    return {
        "path": numbers["ref"],
        "count": lost,
        "total": total,
        "share": f"{lost / total:.2%}",
        "limit": f"{spec.max_rejected_share:.2%}",
        "enough": _rounded_up(lost / total),
        "reasons": numbers["reasons"],
    }


def _rounded_up(share: float) -> str:
    """The smallest limit of three decimals that allows ``share``."""
    return f"{min(1.0, (int(share * 1000) + 1) / 1000):g}"
