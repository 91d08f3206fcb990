"""A model's forward over rows laid end to end: it gives a loss or log-probabilities, never whole logits.

The model stays transformers' own; one instance's ``forward`` also takes ``flat``, so that it can be called through
whatever wraps the network (PEFT, DistributedDataParallel, FSDP).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer

from mozhu.engine.training.engines.flat import attention
from mozhu.engine.training.engines.flat.batch import FlatBatch
from mozhu.engine.training.engines.flat.logps import token_logps
from mozhu.engine.training.engines.flat.loss import label_loss

Wanted = Literal["loss", "logps", "scores", "hidden"]


def make_flat(network: Any) -> None:
    """``network`` takes flat batches from now on: ``network(flat=batch, wanted=…)``."""
    causal = causal_of(network)
    causal.forward = _FlatForward(causal, causal.config._attn_implementation)
    causal.set_attn_implementation(attention.NAME)


def make_plain(network: Any) -> None:
    """``network`` is transformers' own again, with the attention it came with, so that it can generate."""
    causal = causal_of(network)
    flat = vars(causal).get("forward")
    if isinstance(flat, _FlatForward):
        del causal.forward
        causal.set_attn_implementation(flat.own_attention)


def causal_of(network: Any) -> Any:
    """The transformers model inside what PEFT made of it."""
    return network.get_base_model() if isinstance(network, PeftModel) else network


class _FlatForward:
    """Forward of one model.

    ``loss``: ``scale`` times the summed cross-entropy of what the batch teaches. ``logps``: the log-probability
    of each learned token. ``scores``: what the classification or reward head says at the last token of each row,
    shape (rows, labels). ``hidden``: the last hidden state of every token, shape (tokens, width).
    """

    def __init__(self, causal: Any, own_attention: str) -> None:
        self._causal = causal
        self.own_attention = own_attention

    def __call__(
        self,
        *args: Any,
        flat: FlatBatch | None = None,
        wanted: Wanted = "loss",
        scale: float = 1.0,
        **more: Any,
    ) -> Any:
        if flat is None:
            return type(self._causal).forward(self._causal, *args, **more)
        hidden = self._hidden(flat)
        if wanted == "hidden":
            return {"hidden": hidden}
        if wanted == "scores":
            last = flat.bounds[1:].to(hidden.device).long() - 1
            return {"scores": self._causal.score(hidden.index_select(0, last)).float()}
        hidden = hidden.index_select(0, flat.predicting.to(hidden.device))
        head = self._causal.get_output_embeddings()
        softcap = getattr(self._causal.config.get_text_config(), "final_logit_softcapping", None)
        if isinstance(
            head, BaseTunerLayer
        ):  # an adapter on the output layer: its weight alone is not what it says
            said: torch.Tensor = self._causal.get_output_embeddings()(hidden)
            return _by_logits(said.float(), flat.targets.to(hidden.device), wanted, softcap, scale)
        given = (hidden, flat.targets.to(hidden.device), head.weight, getattr(head, "bias", None))
        if wanted == "logps":
            return {"logps": token_logps(*given, softcap=softcap)}
        return {"loss": label_loss(*given, softcap=softcap, scale=scale)}

    def _hidden(self, flat: FlatBatch) -> torch.Tensor:
        """The last hidden state of every token, shape (total, width)."""
        device = next(self._causal.parameters()).device
        told = self._causal.get_decoder()(**flat.inputs(device))
        found: torch.Tensor = told.last_hidden_state[0]
        return found


def _by_logits(
    logits: torch.Tensor, targets: torch.Tensor, wanted: Wanted, softcap: float | None, scale: float
) -> dict[str, torch.Tensor]:
    if softcap:
        logits = torch.tanh(logits / softcap) * softcap
    logps = torch.log_softmax(logits, -1).gather(1, targets[:, None]).squeeze(1)
    return {"logps": logps} if wanted == "logps" else {"loss": -logps.sum() * scale}
