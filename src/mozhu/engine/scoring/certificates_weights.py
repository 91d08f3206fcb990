"""The certificate of weights that were laid out anew, tensor by tensor against those they were made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from mozhu.engine.scoring.certificates_unpickled import weights_certificate
from mozhu.engine.scoring.watching import each_of_size
from mozhu.engine.weights.headers import TensorInfo, read_header
from mozhu.kernel.files import reading
from mozhu.specs.records.certificate import Certificate

_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_VALUES = 1 << 22
_TENSORS = "export.certify.tensors"


def certify_weights(
    source: Sequence[Path], files: Sequence[Path], artefact: Path, made_from: Sequence[Mapping[str, Any]]
) -> Certificate:
    """The certificate (kind ``weights``) that the tensors of ``files`` are those of ``source``.

    The same to the last bit; in another type of floating-point numbers, each the nearest one.
    """
    first, second = _all(source), _all(files)
    odd, other = [], []
    names = sorted(first.keys() | second.keys())
    for name in each_of_size(names, lambda name: second[name].size_bytes if name in second else 0, _TENSORS):
        if name not in first or name not in second or first[name].shape != second[name].shape:
            odd.append(name)
        elif not _same(first[name], second[name]):
            other.append(name)
    return weights_certificate(artefact, files, made_from, matched=odd, equal=other)


def _all(files: Sequence[Path]) -> dict[str, TensorInfo]:
    return {name: info for path in files for name, info in read_header(path).items()}


def _same(first: TensorInfo, second: TensorInfo) -> bool:
    if first.dtype == second.dtype:
        blocks = zip(_bytes(first, _VALUES), _bytes(second, _VALUES), strict=True)
        return all(one == other for one, other in blocks)
    if first.dtype not in _DTYPES or second.dtype not in _DTYPES:
        return False
    return all(
        bool(torch.equal(one.to(other.dtype), other))
        for one, other in zip(_values(first), _values(second), strict=True)
    )


def _values(info: TensorInfo) -> Iterator[torch.Tensor]:
    dtype = _DTYPES[info.dtype]
    for block in _bytes(info, _VALUES * dtype.itemsize):
        yield torch.frombuffer(block, dtype=dtype)


def _bytes(info: TensorInfo, size: int) -> Iterator[bytearray]:
    with reading(info.path), open(info.path, "rb") as file:
        file.seek(info.start)
        for start in range(0, info.size_bytes, size):
            yield bytearray(file.read(min(size, info.size_bytes - start)))
