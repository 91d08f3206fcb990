"""Percentile bootstrap intervals of anything that is computed from sums over rows.

A metric gives every row a vector of *parts* (for perplexity: log-likelihood and tokens) and says how summed
parts become the number. Rows are resampled with replacement (Efron 1979); two systems that answered the same
rows share each resample, so their difference is a paired one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Combine = Callable[[np.ndarray], float]
RESAMPLES = 1000
_BLOCK = 100


@dataclass(frozen=True)
class Interval:
    """``low`` and ``high`` bound the middle 95 % of the resampled values."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def mean_of(sums: np.ndarray) -> float:
    """For parts ``(score, 1)``."""
    return float(sums[0] / sums[1]) if sums[1] else float("nan")


def bootstrap(parts: np.ndarray, combine: Combine, *, seed: int = 42, resamples: int = RESAMPLES) -> Interval:
    """The interval of ``combine(parts.sum(axis=0))``; ``parts`` has shape (rows, k)."""
    return _percentiles([combine(sums) for sums in _resampled(parts, seed, resamples)])


def bootstrap_difference(
    left: np.ndarray, right: np.ndarray, combine: Combine, *, seed: int = 42, resamples: int = RESAMPLES
) -> Interval:
    """The paired interval of ``combine(left) - combine(right)``; both have shape (rows, k), the same rows."""
    pairs = zip(_resampled(left, seed, resamples), _resampled(right, seed, resamples), strict=True)
    return _percentiles([combine(a) - combine(b) for a, b in pairs])


def _resampled(parts: np.ndarray, seed: int, resamples: int) -> np.ndarray:
    """Summed parts of each resample, shape (resamples, k); the same rows are drawn for the same seed."""
    rows = len(parts)
    random = np.random.default_rng(seed)
    blocks = []
    for start in range(0, resamples, _BLOCK):
        count = min(_BLOCK, resamples - start)
        drawn = random.multinomial(rows, np.full(rows, 1 / rows), size=count)
        blocks.append(drawn @ parts.astype(np.float64))
    return np.concatenate(blocks)


def _percentiles(values: list[float]) -> Interval:
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return Interval(float("nan"), float("nan"))
    low, high = np.percentile(known, [2.5, 97.5])
    return Interval(float(low), float(high))
