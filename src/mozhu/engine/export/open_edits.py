"""From a planned change to the edit that makes it: the adapter's tensors are read here, and only here."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mozhu.engine.export.checkpoint import Checkpoint
from mozhu.engine.export.edits import (
    DTYPES,
    After,
    Bias,
    Dora,
    Edit,
    Experts,
    Instead,
    LowRank,
    Product,
    Rows,
    Scale,
)
from mozhu.engine.export.plan import Change
from mozhu.engine.export.shards import read_into
from mozhu.engine.weights.headers import TensorInfo
from mozhu.kernel.files import reading


def read_tensor(checkpoint: Checkpoint, name: str) -> torch.Tensor:
    """One tensor; its memory is its own."""
    entry = checkpoint.entries[name]
    if not entry.size_bytes:
        return torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
    return torch.frombuffer(checkpoint.read(name), dtype=DTYPES[entry.dtype]).reshape(entry.shape)


def open_edit(changes: list[Change], old: TensorInfo, budget_bytes: int) -> Edit:
    """The edit of the base's tensor ``old``; several changes are several adapters, whose sum is rounded once."""
    change = changes[0]
    if len(changes) > 1:
        return LowRank([_product(one) for one in changes])
    edit = _edit(change, old, budget_bytes)
    if change.start is None:
        return edit
    start = Instead(row_reader(change.adapter.tensors.entries[change.start]))
    return After(start, edit, period=edit.period)


def row_reader(info: TensorInfo) -> Callable[[int, int], torch.Tensor]:
    """Rows of a tensor by their numbers, seen as (rows, rest)."""
    rows = info.shape[0] if info.shape else 1
    columns = info.count // rows if rows else 0
    width = info.size_bytes // rows if rows else 0

    def read(first: int, last: int) -> torch.Tensor:
        content = bytearray((last - first) * width)
        with reading(info.path), open(info.path, "rb", buffering=0) as file:
            read_into(file.fileno(), memoryview(content), info.start + first * width, info)
        return torch.frombuffer(content, dtype=DTYPES[info.dtype]).view(last - first, columns)

    return read


def column_reader(info: TensorInfo) -> Callable[[int, int], torch.Tensor]:
    """Columns of a matrix by their numbers, all rows of them."""
    rows, columns = info.shape
    size = info.size_bytes // (rows * columns)

    def read(first: int, last: int) -> torch.Tensor:
        width = (last - first) * size
        content = bytearray(rows * width)
        view = memoryview(content)
        with reading(info.path), open(info.path, "rb", buffering=0) as file:
            if last - first == columns:
                read_into(file.fileno(), view, info.start, info)
            else:
                for row in range(rows):
                    at = info.start + (row * columns + first) * size
                    read_into(file.fileno(), view[row * width : (row + 1) * width], at, info)
        return torch.frombuffer(content, dtype=DTYPES[info.dtype]).view(rows, last - first)

    return read


def _edit(change: Change, old: TensorInfo, budget_bytes: int) -> Edit:
    if change.kind == "replace":
        return Instead(row_reader(change.adapter.tensors.entries[change.a or ""]))
    if change.kind == "bias":
        return Bias(_float(change, change.a) * change.scaling)
    if change.kind == "tokens":
        return Rows(torch.tensor(change.indices), _float(change, change.a))
    if change.kind == "scale":
        return Scale(_float(change, change.a).reshape(-1), change.by_row)
    if change.kind == "expert":
        return _experts(change, old)
    low_rank = LowRank([_product(change)], rounded_first=change.kind == "embedding")
    if change.magnitude is None:
        return low_rank
    return _dora(change, low_rank, old, budget_bytes)


def _product(change: Change) -> Product:
    a, b = _float(change, change.a), _float(change, change.b)
    # A convolution's factors are matrices when its window counts as part of what comes in.
    a, b = a.reshape(a.shape[0], -1), b.reshape(b.shape[0], -1)
    return Product.of(b, a, change.scaling, transposed=change.transposed)


def _dora(change: Change, low_rank: LowRank, old: TensorInfo, budget_bytes: int) -> Dora:
    dora = Dora(low_rank, _float(change, change.magnitude).reshape(-1))
    if change.transposed:
        rows, columns = old.shape
        width = max(1, min(columns, budget_bytes // (rows * 16)))
        source = old if change.start is None else change.adapter.tensors.entries[change.start]
        read = column_reader(source)
        dora.measure_columns(lambda first, last: read(first, last).to(DTYPES[old.dtype]), columns, width)
    return dora


def _experts(change: Change, old: TensorInfo) -> Edit:
    """PEFT keeps the ranks of all experts in one pair: A (experts·rank, in), B (out, rank·experts)."""
    part = change.part
    assert part is not None
    a, b = _float(change, part.a), _float(change, part.b)
    a = a.reshape(part.experts, -1, a.shape[1])
    b = b.reshape(b.shape[0], -1, part.experts)
    expert, row, turned = part.tensors[change.tensor]

    def one(number: int, first: int, last: int) -> LowRank:
        product = Product.of(b[first:last, :, number], a[number], part.scaling, transposed=turned)
        return LowRank([product], rounded_first=True)

    if expert >= 0:
        return one(expert, row, row + old.shape[0])
    whole = [one(number, 0, b.shape[0]) for number in range(part.experts)]
    return whole[0] if part.experts == 1 else Experts(whole, period=old.shape[-2])


def _float(change: Change, name: str | None) -> torch.Tensor:
    return read_tensor(change.adapter.tensors, name or "").float()
