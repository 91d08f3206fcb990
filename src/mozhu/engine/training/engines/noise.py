"""NEFTune: noise on the embeddings of what is learned (Jain et al., 2023, arXiv:2310.05914)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mozhu.engine.training.engines.flat.forward import causal_of


class EmbeddingNoise:
    """Uniform noise of at most ``alpha`` / sqrt(tokens of the row x width), whether rows are padded or end to end.

    Only while the network is in training mode. The numbers come from torch's own state of chance, which checkpoints
    hold, so that a resumed run draws the same.
    """

    def __init__(self, alpha: float) -> None:
        self._alpha = alpha
        self._told: Mapping[str, Any] = {}

    def attach(self, network: Any) -> None:
        causal = causal_of(network)
        causal.get_decoder().register_forward_pre_hook(self._listen, with_kwargs=True)
        causal.get_input_embeddings().register_forward_hook(self._disturb)

    def _listen(self, decoder: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """What the decoder was told of its rows."""
        self._told = {name: named.get(name) for name in ("row_lengths", "attention_mask")}

    def _disturb(self, embedding: torch.nn.Module, given: Any, found: torch.Tensor) -> torch.Tensor:
        if not embedding.training:
            return found
        most = self._alpha * most_of_each(
            found, self._told.get("row_lengths"), self._told.get("attention_mask")
        )
        return found + torch.empty_like(found).uniform_(-1, 1) * most.to(found.dtype)


def most_of_each(
    embedded: torch.Tensor, row_lengths: Sequence[int] | None, mask: torch.Tensor | None
) -> torch.Tensor:
    """1 / sqrt(tokens of the row x width) for each token of ``embedded``, 0 for padding; shape (rows, tokens, 1)."""
    rows, tokens, width = embedded.shape
    if row_lengths:
        lengths = torch.tensor(row_lengths, device=embedded.device)
        return (lengths * width).float().rsqrt().repeat_interleave(lengths)[None, :, None]
    seen = torch.ones(rows, tokens, device=embedded.device)
    if mask is not None and mask.dim() == 2:
        seen = mask[:, -tokens:].to(seen)  # before them there may be a prefix
    lengths = seen.sum(1, keepdim=True).clamp(min=1)
    return (seen * (lengths * width).rsqrt())[..., None]
