"""The matrix products of LoRA training alone, with this machine's PyTorch: the physical limit of a step.

Forward, and back to what went in; the base's weights get no gradient. Of the adapters, of attention and of all
else nothing is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from benchmarks.peers.steps import answer, settings

_TIMES = 3


def main() -> None:
    asked = settings()
    torch.set_num_threads(1)
    shape, tokens = asked["shape"], asked["tokens"]
    width, inner = shape["hidden_size"], shape["intermediate_size"]
    keys = width // shape["num_attention_heads"] * shape["num_key_value_heads"]
    sizes = ((width, width, 2), (width, keys, 2), (width, inner, 2), (inner, width, 1))
    layer = sum(many * _seconds(tokens, wide, high) for wide, high, many in sizes)
    weights = sum(many * wide * high for wide, high, many in sizes) * shape["num_hidden_layers"]
    answer(
        {
            "block_s": layer * shape["num_hidden_layers"] / tokens,
            "head_s": _seconds(tokens, width, shape["vocab_size"]) / tokens,
            "block_flops": 4 * weights,
            "head_flops": 4 * width * shape["vocab_size"],
        }
    )


def _seconds(tokens: int, wide: int, high: int) -> float:
    """CPU seconds of one product forward and one back."""
    weight = torch.randn(high, wide).bfloat16()
    rows, slopes = torch.randn(tokens, wide).bfloat16(), torch.randn(tokens, high).bfloat16()

    def both() -> None:
        torch.nn.functional.linear(rows, weight)
        slopes @ weight

    both()
    return min(_timed(both) for _ in range(_TIMES))


def _timed(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
