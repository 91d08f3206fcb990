"""New values of one tensor, block of rows by block of rows. Sums are in float32 and rounded once to the base's
type, in the order that PEFT's ``merge_and_unload`` uses on a CPU, so results are equal to the last bit.

Every tensor is seen as rows by columns: one row for each entry of its first side, except stacked experts, whose
first two sides count as one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# Products of fewer rows are summed in another order, so that their last bits may differ.
LEAST_ROWS = 8


class Edit(Protocol):
    """What happens to one tensor of the base.

    ``period``: a block never crosses a multiple of it (0: no such border). ``added``: the length of what is added
    to the whole tensor, where that is cheap to know.
    """

    period: int
    added: float | None

    def block(self, old: torch.Tensor, first: int) -> torch.Tensor:
        """The new rows for ``old``, which are the rows from ``first`` on; of any type, rounded by the caller."""
        ...


class Scratch(threading.local):
    """Memory that a thread uses again for every block, so that the system need not give it new pages."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, torch.dtype], torch.Tensor] = {}
        self._filled: set[str] = set()

    def tensor(self, name: str, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
        count = math.prod(shape)
        held = self._held.get((name, dtype))
        if held is None or held.numel() < count:
            held = self._held[name, dtype] = torch.empty(count, dtype=dtype)
        return held[:count].view(*shape)

    def forget(self, name: str) -> None:
        """What ``once`` gave under this name is that of an earlier block."""
        self._filled.discard(name)

    def once(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """``values`` in float32, converted by the first call since ``forget``."""
        made = self.tensor(name, values.shape)
        if name not in self._filled:
            made.copy_(values)
            self._filled.add(name)
        return made


SCRATCH = Scratch()


def in_float32(old: torch.Tensor) -> torch.Tensor:
    """The block in work in float32; nobody may change it."""
    return old if old.dtype == torch.float32 else SCRATCH.once("old", old)


def cut_evenly(first: int, last: int, step: int) -> Iterator[tuple[int, int]]:
    """``first`` to ``last`` in pieces of ``step``; a short rest goes to the piece before it."""
    while last - first >= step + LEAST_ROWS:
        yield first, first + step
        first += step
    if first < last:
        yield first, last


@dataclass(frozen=True)
class Product:
    """``scaling`` · ``left`` · ``right``, both float32: (rows, rank) and (rank, columns)."""

    left: torch.Tensor
    right: torch.Tensor
    scaling: float

    @classmethod
    def of(cls, b: torch.Tensor, a: torch.Tensor, scaling: float, *, transposed: bool = False) -> Product:
        """The change of a weight from LoRA's ``b`` (out, rank) and ``a`` (rank, in)."""
        left, right = (a.T, b.T) if transposed else (b, a)
        # A power of two is multiplied without rounding, so it may as well go into the smaller factor.
        if math.frexp(scaling)[0] == 0.5:
            return cls((left * scaling).contiguous(), right.contiguous(), 1.0)
        return cls(left.contiguous(), right.contiguous(), scaling)

    def rows(self, first: int, count: int, name: str = "product") -> torch.Tensor:
        made = SCRATCH.tensor(name, (count, self.right.shape[1]))
        torch.mm(self.left[first : first + count], self.right, out=made)
        return made if self.scaling == 1.0 else made.mul_(self.scaling)

    def squared(self) -> float:
        """The squared length, from two small products instead of the large one."""
        left, right = self.left.double(), self.right.double()
        inner = ((left.T @ left) * (right @ right.T)).sum()
        return float(inner) * self.scaling**2


@dataclass
class LowRank:
    """W + Σ scaling·B·A. ``rounded_first``: the sum is rounded to the base's type before it is added, as PEFT does
    for embeddings and stacked experts.
    """

    products: list[Product]
    rounded_first: bool = False
    period: int = 0
    added: float | None = field(init=False)

    def __post_init__(self) -> None:
        one = len(self.products) == 1
        self.added = math.sqrt(max(self.products[0].squared(), 0.0)) if one else None

    def delta(self, first: int, count: int) -> torch.Tensor:
        delta = self.products[0].rows(first, count)
        for product in self.products[1:]:
            delta.add_(product.rows(first, count, "another"))
        return delta

    def block(self, old: torch.Tensor, first: int) -> torch.Tensor:
        delta = self.delta(first, old.shape[0])
        if old.dtype == torch.float64:
            return old + delta
        if self.rounded_first and old.dtype != torch.float32:
            return old + delta.to(old.dtype)
        return delta.add_(in_float32(old))


@dataclass
class Experts:
    """A stack of matrices, each with a low rank of its own; a block lies inside one of them."""

    each: list[LowRank]
    period: int
    added: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.added = math.sqrt(sum((one.added or 0.0) ** 2 for one in self.each))

    def block(self, old: torch.Tensor, first: int) -> torch.Tensor:
        expert, row = divmod(first, self.period)
        return self.each[expert].block(old, row)


@dataclass
class Dora:
    """DoRA (arXiv:2402.09353, eq. 5): every output of W + ΔW gets the learnt length. Where outputs are columns,
    ``lengths`` are those of the columns of W + ΔW; rows are measured as they come.
    """

    low_rank: LowRank
    magnitude: torch.Tensor
    lengths: torch.Tensor | None = None
    period: int = 0
    added: float | None = None

    def block(self, old: torch.Tensor, first: int) -> torch.Tensor:
        total = old + self.low_rank.delta(first, old.shape[0])
        if self.lengths is not None:
            return (self.magnitude / self.lengths).view(1, -1) * total
        magnitude = self.magnitude[first : first + old.shape[0]]
        return (magnitude / torch.linalg.norm(total, dim=1)).view(-1, 1) * total

    def measure_columns(self, read: Callable[[int, int], torch.Tensor], columns: int, width: int) -> None:
        """Take the lengths of all columns, ``width`` of them at a time; ``read`` gives old columns, all rows."""
        product = self.low_rank.products[0]
        found = []
        for first, last in cut_evenly(0, columns, max(width, LEAST_ROWS)):
            delta = product.left @ product.right[:, first:last]
            if product.scaling != 1.0:
                delta.mul_(product.scaling)
            found.append(torch.linalg.norm((read(first, last) + delta).T, dim=1))
        self.lengths = torch.cat(found)


@dataclass
class Scale:
    """IA3 (arXiv:2205.05638): each row, or each column, times its learnt factor."""

    factors: torch.Tensor
    by_row: bool
    period: int = 0
    added: float | None = None

    def block(self, old: torch.Tensor, first: int) -> torch.Tensor:
        if self.by_row:
            return old * self.factors[first : first + old.shape[0]].view(-1, 1)
        return old * self.factors.view(1, -1)


@dataclass
class Bias:
    """b + scaling·b'."""

    values: torch.Tensor
    period: int = 0
    added: float | None = None

    def block(self, old: torch.Tensor, first: int) -> torch.Tensor:
        return old + self.values[first : first + old.shape[0]].view(-1, 1)


@dataclass
class Rows:
    """Some rows give way to trained ones (new or retrained tokens)."""

    indices: torch.Tensor
    values: torch.Tensor
    period: int = 0
    added: float | None = None

    def block(self, old: torch.Tensor, first: int) -> torch.Tensor:
        inside = (self.indices >= first) & (self.indices < first + old.shape[0])
        if not bool(inside.any()):
            return old
        return old.index_copy(0, self.indices[inside] - first, self.values[inside].to(old.dtype))


@dataclass
class Instead:
    """Another tensor in the base's place, read by its rows."""

    read: Callable[[int, int], torch.Tensor]
    period: int = 0
    added: float | None = None

    def block(self, old: torch.Tensor, first: int) -> torch.Tensor:
        return self.read(first, first + old.shape[0])


@dataclass
class After:
    """First ``start`` (the adapter holds its own copy of the weight), then ``then``."""

    start: Instead
    then: Any
    period: int = 0
    added: float | None = None

    def block(self, old: torch.Tensor, first: int) -> torch.Tensor:
        SCRATCH.forget("old")
        changed: torch.Tensor = self.then.block(self.start.block(old, first).to(old.dtype), first)
        SCRATCH.forget("old")  # what was converted was the adapter's copy
        return changed
