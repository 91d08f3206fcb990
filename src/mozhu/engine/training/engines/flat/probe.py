"""Whether a model keeps rows apart that are laid end to end: tried with the model itself before it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from mozhu.engine.data.tokens import Example
from mozhu.engine.training.engines.flat.batch import FlatBatch, flatten
from mozhu.engine.training.engines.flat.forward import causal_of, make_flat, make_plain
from mozhu.engine.training.engines.flat.logps import row_sums

_TOKENS = 24
# The flat rows may differ from single ones by this part of what a leak between them would change, or by rounding.
_SHARE_OF_LEAK = 0.05
_ROUNDING = 1e-3


def keeps_rows_apart(network: Any, examples: Sequence[Example]) -> bool:
    """Whether flat rows have the log-probabilities that they have one by one; ``network`` is plain afterwards.

    The first tokens of two ``examples`` are scored one by one by the model as it is, then end to end, then end to
    end as if they were one row: what that changes is what a leak would change. Models that need more than tokens
    and positions, or whose attention does not come through transformers' interface, fail here.
    """
    rows = [_short(example) for example in list(examples[:2]) or [Example([0], [0], "")]]
    rows = rows if len(rows) > 1 else rows * 2
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            alone = torch.stack([_alone(network, row) for row in rows])
            make_flat(network)
            batch = flatten(rows)
            apart = (_flat(network, batch) - alone).abs()[1]
            leak = (_flat(network, _as_one(batch)) - alone).abs()[1]
        return bool(apart <= _SHARE_OF_LEAK * leak or apart <= _ROUNDING * alone.abs()[1])
    except (TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError):
        return False
    finally:
        make_plain(network)
        network.train(was_training)


def _short(example: Example) -> Example:
    ids = list(example.ids[:_TOKENS])
    return Example(ids, ids, example.row_id)


def _alone(network: Any, row: Example) -> torch.Tensor:
    device = next(causal_of(network).parameters()).device
    ids = torch.tensor([row.ids], device=device)
    logits = network(input_ids=ids, use_cache=False).logits[0, :-1].float()
    return torch.log_softmax(logits, -1).gather(1, ids[0, 1:, None]).sum()


def _flat(network: Any, batch: FlatBatch) -> torch.Tensor:
    told = network(flat=batch, wanted="logps")["logps"]
    return row_sums(told, batch.rows.to(told.device), len(batch.lengths))


def _as_one(batch: FlatBatch) -> FlatBatch:
    """The same tokens and positions, attending as one row; which rows they are counted to stays."""
    return replace(batch, attended=[sum(batch.lengths)])
