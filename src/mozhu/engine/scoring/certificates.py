"""Certificates of adapters and of merged models: measured, never assumed.

A certificate does not raise: ``passed`` says whether every check holds, and the caller decides. Models are
loaded one after the other, so memory holds one at a time.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from peft import get_peft_model_state_dict
from safetensors.torch import load_file

from mozhu.engine.inference.scores import record_scores
from mozhu.engine.scoring.agreement import Agreement, agreement_of, record_logits
from mozhu.engine.scoring.identity import (
    Measured,
    measured_rows,
    open_renderer,
    stop_ids_by_place,
    stop_ids_check,
    template_check,
    tokenizer_checks,
)
from mozhu.engine.scoring.limits import (
    LEAST_EFFECT,
    MERGE_TOP1_HALF,
    MOST_EFFECT_LOST,
    MOST_TOKENS,
    merge_max_abs,
)
from mozhu.engine.scoring.scores import base_with_head
from mozhu.engine.scoring.threads import spare_threads
from mozhu.engine.weights.adapter_fit import adapter_problems
from mozhu.engine.weights.base_record import read_base_record
from mozhu.engine.weights.fingerprint import differing_parts, fingerprint
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.head_record import head_of
from mozhu.engine.weights.load import load_model, tokenizer_folder
from mozhu.engine.weights.references import FoundModel
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.manifest import make_manifest

Rows = Sequence[dict[str, Any]]
_HALF = ("bfloat16", "float16")


@dataclass(frozen=True)
class Adapted:
    """What an adapter does to its base: logits of each measured row with it and without it."""

    tuned: list[torch.Tensor]
    base: list[torch.Tensor]

    def effect(self) -> Agreement:
        return agreement_of(zip(self.tuned, self.base, strict=True))


@spare_threads()
def certify_adapter(base: str | Path, adapter: str | Path, rows: Rows | None = None) -> Certificate:
    """The certificate (kind ``adapter``) of an adapter on its base.

    Checks: the base is the recorded one; every number is finite; every tensor fits a module of the base and
    is in the loaded model; it changes the logits by at least 0.001; its tokenizer, template and stop tokens
    are those of the base. An adapter with a scoring head (a reward, classes) also scores texts differently.

    Args:
        rows: Prepared rows to measure on, besides the fixed conversations.
    """
    found = FoundModel(Path(adapter).name, Path(adapter), Path(adapter), Path(base))
    home = tokenizer_folder(found)
    taken = measured(home, rows)
    base_print = fingerprint(base)
    checks = [*_base_checks(found.path, base_print), finite_check(found.path)]
    dtype = measuring_dtype(found.base)
    adapted, fits = _measure_adapted(found, taken, dtype)
    checks += [fits, effect_check(adapted.effect() if adapted else None)]
    if adapted and head_of(ModelFolder.open(found.path)):
        checks.append(scores_check(adapted.tuned))
    checks += language_checks(found.base, found.base, home, rows or ())
    made_from = [{"role": "base", "fingerprint": base_print["whole"]}]
    prints = {"base": base_print["whole"], "adapter": make_manifest(found.path).sha256}
    return certificate("adapter", checks, made_from, prints, dtype=dtype, measured=taken)


@spare_threads()
def certify_merge(
    base: str | Path, adapter: str | Path, merged: str | Path, rows: Rows | None = None
) -> Certificate:
    """The certificate (kind ``merge``) of ``merged``: that it is ``base`` with ``adapter``, and nothing else.

    Base and adapter together (PEFT) and the merged model answer the same rows in float32. Weights saved in 16
    bits are held to equal next tokens instead of equal logits. Wrong bases, adapters without effect, lost
    merges, changed stop tokens, vocabularies and templates do not pass.

    Args:
        rows: Prepared rows to measure on, besides the fixed conversations.
    """
    found = FoundModel(Path(adapter).name, Path(adapter), Path(adapter), Path(base))
    whole = FoundModel(Path(merged).name, Path(merged), None, Path(merged))
    home = tokenizer_folder(found)
    taken = measured(home, rows)
    base_print = fingerprint(base)
    checks = _base_checks(found.path, base_print)
    dtype = measuring_dtype(found.base)
    adapted, fits = _measure_adapted(found, taken, dtype)
    gc.collect()
    half = dtype in _HALF or ModelFolder.open(merged).dtype in _HALF
    merged_logits = record_logits(load_model(whole, dtype=dtype, device="cpu"), taken.ids)
    checks += [fits, *merge_checks(adapted, merged_logits, half=half)]
    checks += language_checks(found.base, home, whole.path, rows or ())
    made_from = [
        {"role": "base", "fingerprint": base_print["whole"]},
        {"role": "adapter", "manifest": make_manifest(found.path).sha256},
    ]
    return certificate("merge", checks, made_from, fingerprint(merged), dtype=dtype, measured=taken)


def certificate(
    kind: str,
    checks: list[Check],
    made_from: list[dict[str, Any]],
    prints: dict[str, str],
    *,
    dtype: str,
    measured: Measured,
) -> Certificate:
    """The record, with the versions of what measured it and how much it was measured on."""
    tools = {name: version(name) for name in ("mozhu", "torch", "transformers", "peft")}
    extent = {"dtype": dtype, "rows": len(measured.ids), "tokens": sum(map(len, measured.ids))}
    passed = bool(checks) and all(check.ok for check in checks)
    return Certificate(
        kind=kind,
        made_from=made_from,
        fingerprint=prints,
        checks=checks,
        passed=passed,
        tools=tools,
        measured=extent,
    )


def measuring_dtype(model: Path) -> str:
    """``float32`` where a model fits into free memory so, else ``bfloat16``."""
    needed = ModelFolder.open(model).parameter_count * 4 * 1.25
    return "float32" if needed < psutil.virtual_memory().available else "bfloat16"


def effect_check(effect: Agreement | None) -> Check:
    """``effect`` is ``None`` where the adapter does not fit and so could not be measured."""
    value = effect.max_abs if effect else None
    return Check(
        name="adapter_effect", value=value, limit=LEAST_EFFECT, ok=value is not None and value >= LEAST_EFFECT
    )


def finite_check(adapter: Path) -> Check:
    """No tensor of the adapter holds a not-a-number or an infinity; the value counts those that do."""
    bad = sum(
        int(not torch.isfinite(tensor).all())
        for shard in ModelFolder.open(adapter).shards
        for tensor in load_file(shard).values()
        if tensor.is_floating_point()
    )
    return Check(name="tensors_finite", value=bad, limit=0, ok=bad == 0)


def measured(home: Path, rows: Rows | None) -> Measured:
    """What is measured on, by the template and the tokenizer of ``home``."""
    return measured_rows(open_renderer(home), load_tokenizer(home), rows or (), most_tokens=MOST_TOKENS)


def _base_checks(adapter: Path, base_print: dict[str, str]) -> list[Check]:
    """The base is the one that the adapter records; an adapter made elsewhere records none."""
    record = read_base_record(adapter)
    if record is None or not record.fingerprint:
        return []
    parts = differing_parts(record.fingerprint, base_print)
    return [Check(name="base_fingerprint", value=not parts, limit=True, ok=not parts, differing=parts)]


def merge_checks(adapted: Adapted | None, merged: list[torch.Tensor], *, half: bool) -> list[Check]:
    """The merged model answers like the adapted one; the adapter does something; that is kept."""
    if adapted is None:
        return [effect_check(None)]
    effect = adapted.effect()
    same = agreement_of(zip(adapted.tuned, merged, strict=True))
    limit = merge_max_abs(same.largest)
    lost = same.kl_mean / effect.kl_mean if effect.kl_mean > 0 else float("inf")
    close = (
        Check(name="top1_agreement", value=same.top1, limit=MERGE_TOP1_HALF, ok=same.top1 >= MERGE_TOP1_HALF)
        if half
        else Check(name="max_abs_logit_difference", value=same.max_abs, limit=limit, ok=same.max_abs <= limit)
    )
    kept = Check(name="effect_lost", value=lost, limit=MOST_EFFECT_LOST, ok=lost <= MOST_EFFECT_LOST)
    return [close, effect_check(effect), kept]


def scores_check(scores: Sequence[torch.Tensor]) -> Check:
    """A scoring head says different things of different texts; the value is the widest range of a score."""
    told = torch.cat(list(scores))
    spread = float((told.amax(0) - told.amin(0)).max())
    return Check(name="scores_differ", value=spread, limit=LEAST_EFFECT, ok=spread >= LEAST_EFFECT)


def language_checks(base: Path, home: Path, copy: Path, rows: Rows) -> list[Check]:
    """Stop tokens as in ``base``; tokenizer and template as in ``home``, where training read them."""
    source, other = load_tokenizer(home), load_tokenizer(copy)
    before, after = stop_ids_by_place(base, source), stop_ids_by_place(copy, other)
    if not (copy / "config.json").is_file():  # an adapter: its tokenizer is all it says about stopping
        before, after = {"tokenizer": before["tokenizer"]}, {"tokenizer": after["tokenizer"]}
    return [
        stop_ids_check(before, after),
        *tokenizer_checks(source, other),
        template_check(open_renderer(home), open_renderer(copy), rows),
    ]


def _measure_adapted(found: FoundModel, measured: Measured, dtype: str) -> tuple[Adapted | None, Check]:
    """Both sets of logits (of a model that scores: scores, by the trained head) out of one load, and whether every
    tensor of the adapter found its place.
    """
    folder = ModelFolder.open(found.path)
    problems = len(adapter_problems(folder, ModelFolder.open(found.base)))
    if problems:
        return None, Check(name="targets_matched", value=problems, limit=0, ok=False)
    model = load_model(found, dtype=dtype, device="cpu", verify=False)
    if head_of(folder):
        tuned = record_scores(model, measured.ids)
        with base_with_head(model):
            return Adapted(tuned, record_scores(model, measured.ids)), _inside_check(model, folder)
    tuned = record_logits(model, measured.ids)
    with model.disable_adapter():
        plain = record_logits(model, measured.ids)
    return Adapted(tuned, plain), _inside_check(model, folder)


def _inside_check(model: Any, folder: ModelFolder) -> Check:
    """Every tensor of the file is in the model with its shape, and the model's adapter has no other."""
    inside = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(model).items()}
    in_file = {name: tuple(info.shape) for name, info in folder.tensors.items()}
    different = sum(1 for name in inside.keys() | in_file.keys() if inside.get(name) != in_file.get(name))
    return Check(name="targets_matched", value=different, limit=0, ok=different == 0 and bool(inside))
