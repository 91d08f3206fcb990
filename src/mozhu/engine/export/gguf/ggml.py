"""Quantisation by ggml's own code, called in the prebuilt ``xllamacpp`` library."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import gguf
import numpy as np

from mozhu.engine.inference.llama_cpp import library
from mozhu.kernel.machine import core_count

Type = gguf.GGMLQuantizationType
_BLOCK_VALUES = 4 << 20  # of float32 in flight a thread: 16 MiB
_SHARED_VALUES = 1 << 17  # from here on a tensor is worth several threads


@cache
def _quantize_chunk() -> Any:
    function = library().ggml_quantize_chunk
    function.restype = ctypes.c_size_t
    function.argtypes = [
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_void_p,
    ]
    return function


def as_float32(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """float32 of float16, float64 or (``uint16``) bfloat16 values."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32, copy=False)


def encoded(values: np.ndarray[Any, Any], kind: Type) -> np.ndarray[Any, Any]:
    """``values`` (rows, row length) as ``kind``: uint8 of shape (rows, bytes of a row).

    Rows go through float32 in blocks, several at once, so memory holds the input, the output and a few
    blocks.
    """
    rows, length = values.shape
    block, size = gguf.GGML_QUANT_SIZES[kind]
    out = np.empty((rows, length // block * size), dtype=np.uint8)
    share = -(-rows // core_count()) if values.size >= _SHARED_VALUES else rows
    step = max(1, min(share, _BLOCK_VALUES // max(1, length)))

    def one(start: int) -> None:
        part = np.ascontiguousarray(as_float32(values[start : start + step]))
        target = out[start : start + step]
        count = _quantize_chunk()(
            int(kind), part.ctypes.data, target.ctypes.data, 0, part.shape[0], length, None
        )
        assert count == target.nbytes, f"ggml wrote {count} bytes of {target.nbytes}"

    starts = range(0, rows, step)
    if len(starts) == 1:
        one(0)
    else:
        with ThreadPoolExecutor(core_count()) as pool:
            list(pool.map(one, starts))
    return out
