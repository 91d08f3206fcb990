"""A network with its loss, over rows laid end to end."""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel
from torch import nn

from mozhu.engine.training.engines.flat import attention
from mozhu.engine.training.engines.flat.batch import FlatBatch
from mozhu.engine.training.engines.flat.loss import label_loss


class FlatLearner(nn.Module):
    """Gives the loss of a :class:`FlatBatch`; all parameters are those of ``network``.

    Args:
        network: A causal language model of transformers, or one with an adapter injected by PEFT.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.causal = _causal(network)
        self.causal.set_attn_implementation(attention.NAME)

    def hidden(self, batch: FlatBatch) -> torch.Tensor:
        """The last hidden state of every token, shape (total, width)."""
        device = next(self.causal.parameters()).device
        told = self.causal.get_decoder()(**batch.inputs(device))
        found: torch.Tensor = told.last_hidden_state[0]
        return found

    def forward(self, batch: FlatBatch, scale: float = 1.0) -> torch.Tensor:
        """``scale`` times the summed loss of the tokens that ``batch`` teaches."""
        hidden = self.hidden(batch)
        wanted = hidden.index_select(0, batch.predicting.to(hidden.device))
        head = self.causal.get_output_embeddings()
        return label_loss(
            wanted,
            batch.targets.to(hidden.device),
            head.weight,
            getattr(head, "bias", None),
            softcap=getattr(self.causal.config.get_text_config(), "final_logit_softcapping", None),
            scale=scale,
        )


def _causal(network: Any) -> Any:
    return network.get_base_model() if isinstance(network, PeftModel) else network
