"""Whether a model keeps rows apart that are laid end to end: tried with the model itself before it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from mozhu.engine.data.tokens import Example
from mozhu.engine.training.engines.flat.batch import FlatBatch, flatten
from mozhu.engine.training.engines.flat.forward import Wanted, causal_of, make_flat, make_plain
from mozhu.engine.training.engines.flat.layers import first_of_each_kind

_TOKENS = 24
# The flat rows may differ from single ones by this part of what a leak between them would change, or by rounding.
_SHARE_OF_LEAK = 0.05
_ROUNDING = 1e-3


def keeps_rows_apart(network: Any, examples: Sequence[Any]) -> bool:
    """Whether flat rows give what they give one by one; ``network`` is plain afterwards.

    The first tokens of two ``examples`` go through the model one by one as it is, then end to end, then end to end
    as if they were one row: what that changes is what a leak would change. Models that need more than tokens and
    positions, or whose attention does not come through transformers' interface, fail here.

    Asked first are the first layers, as many as there are kinds of them (layers.py), for their last hidden states:
    layers of one kind mix tokens by one code. Only what they say plainly counts; else the whole model is asked, for
    the tokens' log-probabilities, or for hidden states where it scores rows.
    """
    rows = [_short(example) for example in list(examples[:2]) or [Example([0, 0], [0, 0], "")]]
    rows = rows if len(rows) > 1 else rows * 2
    wanted: Wanted = "logps" if causal_of(network).get_output_embeddings() is not None else "hidden"
    was_training = network.training
    network.eval()
    try:
        with first_of_each_kind(causal_of(network)) as fewer:
            found = _tried(network, rows, "hidden") if fewer else None
        if found is not None and found.is_apart_plainly:
            return True
        found = _tried(network, rows, wanted)
        return found is not None and found.is_apart
    finally:
        network.train(was_training)


@dataclass(frozen=True)
class _Found:
    """How far flat rows are from single ones, and how far they are with a leak; ``size`` of what is compared."""

    apart: float
    leak: float
    size: float

    @property
    def is_apart_plainly(self) -> bool:
        return self.apart < _SHARE_OF_LEAK * self.leak

    @property
    def is_apart(self) -> bool:
        return self.apart <= max(_SHARE_OF_LEAK * self.leak, _ROUNDING * self.size)


@torch.no_grad()
def _tried(network: Any, rows: list[Example], wanted: Wanted) -> _Found | None:
    """``None`` where the model cannot take rows end to end at all."""
    try:
        alone = torch.cat([_alone(network, row, wanted) for row in rows])
        make_flat(network)
        batch = flatten(rows)
        apart = _difference(network(flat=batch, wanted=wanted)[wanted], alone)
        leak = _difference(network(flat=_as_one(batch), wanted=wanted)[wanted], alone)
    except (TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError, LookupError):
        return None
    finally:
        make_plain(network)
    return _Found(apart, leak, float(alone.abs().mean()))


def _short(example: Any) -> Example:
    found = getattr(example, "wanted", None) or getattr(example, "example", None) or example
    ids = list(found.ids[:_TOKENS])
    return Example(ids, ids, found.row_id)


def _alone(network: Any, row: Example, wanted: Wanted) -> torch.Tensor:
    causal = causal_of(network)
    ids = torch.tensor([row.ids], device=next(causal.parameters()).device)
    if wanted == "hidden":
        found: torch.Tensor = causal.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state[0]
        return found
    logits = network(input_ids=ids, use_cache=False).logits[0, :-1].float()
    return torch.log_softmax(logits, -1).gather(1, ids[0, 1:, None]).squeeze(1)


def _difference(found: torch.Tensor, alone: torch.Tensor) -> float:
    return float((found.float() - alone.float()).abs().mean())


def _as_one(batch: FlatBatch) -> FlatBatch:
    """The same tokens and positions, attending as one row; which rows they are counted to stays."""
    return replace(batch, attended=[sum(batch.lengths)])
