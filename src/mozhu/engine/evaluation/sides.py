"""The two sides of a comparison: the tuned model and its base, from one load where an adapter allows it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from peft import PeftModel

from mozhu.engine.scoring.agreement import agreement_of, record_logits
from mozhu.engine.scoring.conversations import FIXED
from mozhu.engine.scoring.identity import open_renderer
from mozhu.engine.weights.adapter_fit import check_adapter_fits
from mozhu.engine.weights.device import pick_device, pick_dtype
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import check_base, load_base, load_model, tokenizer_folder
from mozhu.engine.weights.references import FoundModel
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import BaseChanged, RefusedConversation

# Switching an adapter off and on again may cost rounding in half precision, nothing else.
_SAME = {"float32": 1e-4, "bfloat16": 5e-2, "float16": 5e-2}
_SELF_TEST_ROWS = 3


@dataclass(frozen=True)
class Side:
    """One model that is scored. ``renderer`` is ``None`` for a model without chat template."""

    name: str
    model: Any
    tokenizer: Any
    renderer: Renderer | None


@contextmanager
def open_tuned(found: FoundModel, *, dtype: str, device: str) -> Iterator[Side]:
    """The model that ``found`` means; with an adapter it is active.

    Where there is an adapter, the base answers a few rows before the adapter is put on and again with it
    switched off: a base that answers otherwise is not the base.

    Raises:
        BaseChanged: EVAL-002. BaseMismatch: MODEL-008. AdapterDoesNotFit: MODEL-009.
    """
    home = tokenizer_folder(found)
    tokenizer, renderer = load_tokenizer(home), open_renderer(home)
    if found.adapter is None:
        model = load_model(found, dtype=dtype, device=device)
    else:
        model = _adapted(found, tokenizer, renderer, dtype=dtype, device=device)
    try:
        yield Side("tuned", model, tokenizer, renderer)
    finally:
        del model
        gc.collect()


@contextmanager
def base_of(side: Side) -> Iterator[Side]:
    """The base inside an adapted model, until the block ends."""
    off = side.model.disable_adapter() if isinstance(side.model, PeftModel) else nullcontext()
    with off:
        yield Side("base", side.model, side.tokenizer, side.renderer)


def _adapted(found: FoundModel, tokenizer: Any, renderer: Renderer | None, *, dtype: str, device: str) -> Any:
    assert found.adapter is not None
    adapter, base = ModelFolder.open(found.adapter), ModelFolder.open(found.base)
    check_adapter_fits(adapter, base)
    check_base(adapter, base)
    place = pick_device(device)
    number_type = pick_dtype(place, base, dtype)
    plain = load_base(base, place, number_type)
    rows = _self_test_rows(tokenizer, renderer)
    before = record_logits(plain, rows)
    model = PeftModel.from_pretrained(
        plain, str(found.adapter), is_trainable=False, local_files_only=True
    ).eval()
    with model.disable_adapter():
        after = record_logits(model, rows)
    same = agreement_of(zip(before, after, strict=True))
    if not same.max_abs <= _SAME[str(number_type).removeprefix("torch.")]:
        raise BaseChanged(checkpoint=str(found.path), base=str(found.base), gap=f"{same.max_abs:.3g}")
    return model


def _self_test_rows(tokenizer: Any, renderer: Renderer | None) -> list[list[int]]:
    rows = []
    for messages in FIXED[:_SELF_TEST_ROWS]:
        try:
            ids = renderer.encode(renderer.text(messages)) if renderer else None
        except RefusedConversation:
            ids = None
        rows.append(ids or list(tokenizer(messages[0]["content"], add_special_tokens=False)["input_ids"]))
    return [ids for ids in rows if ids]
