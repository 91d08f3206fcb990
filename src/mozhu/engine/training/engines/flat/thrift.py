"""What large models are trained with on a CPU so that a step holds less; small ones lose time by it and gain nothing.

Activations grow with a model's width, what an operator of ours costs by itself does not. At a width of 896 the
operators are as fast as transformers' own and a step needs a fifth less memory; at 256 they are a fifth slower.
"""

from __future__ import annotations

import os
from typing import Any

from torch import nn

# From this width on, in numbers a token.
WIDE = 512
# On a CPU more tokens at once make no product of a wide model faster, and their activations wait for the way back.
_TOKENS_AT_ONCE = 256
# oneDNN keeps compiled products, and room to work in, for so many shapes; batches differ in their tokens, so the
# 1,024 that it keeps by itself only grow, by more than a megabyte each.
_KEPT_PRODUCTS = "64"


def is_wide(network: nn.Module) -> bool:
    """Whether a token's activations are so large that making them again is cheaper than keeping them."""
    config: Any = getattr(network, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    return int(getattr(text, "hidden_size", 0) or 0) >= WIDE


def tokens_at_once(network: nn.Module) -> int | None:
    """How many tokens go forward and back together on a CPU; ``None``: a whole batch."""
    return _TOKENS_AT_ONCE if is_wide(network) else None


def keep_few_products() -> None:
    """To be called before the first product; a number that the user has set stands."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _KEPT_PRODUCTS)
