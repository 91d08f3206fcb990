"""Certificates of adapters and of merged models: measured, never assumed.

A certificate does not raise: ``passed`` says whether every check holds, and the caller decides. Models are
loaded one after the other, so memory holds one at a time.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from peft import get_peft_model_state_dict
from safetensors import safe_open

from mozhu.engine.inference.scores import record_scores
from mozhu.engine.scoring.activations import largest_activation
from mozhu.engine.scoring.agreement import Agreement, agreement_of, agreement_with, record_logits
from mozhu.engine.scoring.identity import (
    Measured,
    measured_rows,
    open_renderer,
    stop_ids_by_place,
    stop_ids_check,
    template_check,
    tokenizer_checks,
)
from mozhu.engine.scoring.real_rows import RealRows, real_rows
from mozhu.engine.scoring.reference import merge_and_round
from mozhu.engine.scoring.scores import base_with_head
from mozhu.engine.scoring.sealing import sealed, source_entry
from mozhu.engine.scoring.structure import merged_structure
from mozhu.engine.scoring.threads import spare_threads
from mozhu.engine.scoring.together import Together, add_adapters
from mozhu.engine.weights.adapter_fit import adapter_problems
from mozhu.engine.weights.base_record import read_base_record
from mozhu.engine.weights.fingerprint import differing_parts, fingerprint, weights_hash
from mozhu.engine.weights.folder import ModelFolder, quantised_folder
from mozhu.engine.weights.head_record import head_of
from mozhu.engine.weights.load import load_model, tokenizer_folder
from mozhu.engine.weights.references import FoundModel
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.limits import MOST_TOKENS, REAL_TOKENS
from mozhu.specs.records.manifest import make_manifest

Rows = Sequence[dict[str, Any]]
Weighted = Sequence[tuple[str | Path, float]]
HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_FINITE_VALUES = 1 << 26


@dataclass(frozen=True)
class Adapted:
    """What an adapter does to its base, on each measured row: its logits, and how they differ from the base's.

    ``noise``: how they differ from those of the adapter put into the weights and rounded once to the type they are
    stored in; ``None`` where they are stored in full, or PEFT cannot do that.
    """

    tuned: list[torch.Tensor]
    effect: Agreement
    noise: Agreement | None = None


@spare_threads()
def certify_adapter(base: str | Path, adapter: str | Path, rows: Rows | None = None) -> Certificate:
    """The certificate (kind ``adapter``) of an adapter on its base.

    Checks: the base is the recorded one; every number is finite; every tensor fits a module of the base and
    is in the loaded model; it changes the logits by at least 0.001; its tokenizer, template and stop tokens
    are those of the base. An adapter with a scoring head (a reward, classes) also scores texts differently.

    Args:
        rows: Prepared rows to measure on, besides the fixed conversations; by default the first of its training.
    """
    found = FoundModel(Path(adapter).name, Path(adapter), Path(adapter), Path(base))
    home = tokenizer_folder(found)
    real = known_rows(rows, found.path)
    taken = measured(home, real.rows)
    base_print = fingerprint(base)
    checks = [*_base_checks(found.path, found.base, base_print), finite_check(found.path, "adapter")]
    dtype = measuring_dtype(found.base)
    adapted, fits = _measure_adapted(found, taken, dtype)
    effect = adapted.effect if adapted else None
    checks += [fits, effect_check(effect, "adapter")]
    if adapted and head_of(ModelFolder.open(found.path)):
        checks.append(scores_check(adapted.tuned, "adapter"))
    checks += language_checks(found.base, found.base, home, real.rows)
    return sealed(
        "adapter",
        checks,
        artefact=found.path,
        made_from=[source_entry("base", found.base, found.path, fingerprint=base_print["whole"])],
        prints={"base": base_print["whole"], "adapter": make_manifest(found.path).sha256},
        measured=extent(dtype, taken, real, effect=effect),
    )


@spare_threads()
def certify_merge(
    base: str | Path,
    adapter: str | Path,
    merged: str | Path,
    rows: Rows | None = None,
    *,
    weight: float = 1.0,
    more: Weighted = (),
) -> Certificate:
    """The certificate (kind ``merge``) of ``merged``: that it is ``base`` with ``adapter``, and nothing else.

    Base and adapter together (PEFT) and the merged model answer the same rows in float32. Weights saved in 16
    bits are held to equal next tokens instead of equal logits, and to the noise that rounding the same weights
    once makes on the same rows. Wrong bases, adapters without effect, lost merges, lost or parted layers,
    overflows, changed stop tokens, vocabularies and templates do not pass.

    Args:
        rows: Prepared rows to measure on, besides the fixed conversations; by default the first of its training.
        weight: How many times ``adapter`` was added.
        more: Further adapters that were added, each with its weight.
    """
    found = FoundModel(Path(adapter).name, Path(adapter), Path(adapter), Path(base))
    together = Together([(found.path, weight), *((Path(path), share) for path, share in more)])
    whole = FoundModel(Path(merged).name, Path(merged), None, Path(merged))
    home = tokenizer_folder(found)
    real = known_rows(rows, found.path)
    taken = measured(home, real.rows)
    base_print = fingerprint(base)
    folder = ModelFolder.open(merged)
    checks = [*_base_checks(found.path, found.base, base_print), finite_check(whole.path, "merge")]
    structure = merged_structure(
        ModelFolder.open(base), [ModelFolder.open(path) for path, _ in together.adapters], folder
    )
    dtype = measuring_dtype(found.base)
    half = next((HALF[name] for name in (folder.dtype, dtype) if name in HALF), None)
    adapted, fits = _measure_adapted(found, taken, dtype, half, together)
    gc.collect()
    checks += [*structure, fits]
    same = None
    if adapted and all(check.ok for check in structure):  # transformers would make up what is missing
        same, largest = _compare_merged(whole, adapted, taken, dtype)
        checks += closeness_checks(same, adapted.noise, "merge", half=half is not None)
        checks += [_lost_check(same, adapted.effect), *range_checks(folder, largest, "merge")]
    checks.append(effect_check(adapted.effect if adapted else None, "merge"))
    checks += language_checks(found.base, home, whole.path, real.rows)
    return sealed(
        "merge",
        checks,
        artefact=whole.path,
        made_from=[
            source_entry("base", found.base, whole.path, fingerprint=base_print["whole"]),
            *(_adapter_entry(path, share, whole.path) for path, share in together.adapters),
        ],
        prints=fingerprint(merged),
        measured=extent(
            dtype,
            taken,
            real,
            effect=adapted.effect if adapted else None,
            agreement=same,
            reference=adapted.noise if adapted else None,
        ),
    )


def _adapter_entry(adapter: Path, weight: float, artefact: Path) -> dict[str, Any]:
    entry = source_entry(
        "adapter",
        adapter,
        artefact,
        manifest=make_manifest(adapter).sha256,
        weights=weights_hash(ModelFolder.open(adapter)),
    )
    return entry if weight == 1.0 else {**entry, "weight": weight}


def extent(dtype: str, taken: Measured, real: RealRows, **agreements: Agreement | None) -> dict[str, Any]:
    """On how much it was measured, and every number of each comparison."""
    told = {name: found.to_json() for name, found in agreements.items() if found is not None}
    tokens = sum(map(len, taken.ids))
    return {
        "dtype": dtype,
        "rows": len(taken.ids),
        "tokens": tokens,
        "real_rows": taken.real,
        **_data(real),
        **told,
    }


def _data(real: RealRows) -> dict[str, str]:
    return {"data": real.data} if real.rows and real.data else {}


def known_rows(rows: Rows | None, *folders: Path) -> RealRows:
    """The rows that are given, else those of the training that the folders' records name."""
    return real_rows(*folders) if rows is None else RealRows(list(rows))


def measuring_dtype(model: Path) -> str:
    """``float32`` where a model fits into free memory so, else ``bfloat16``."""
    needed = ModelFolder.open(model).parameter_count * 4 * 1.25
    return "float32" if needed < psutil.virtual_memory().available else "bfloat16"


def effect_check(effect: Agreement | None, kind: str) -> Check:
    """``effect`` is ``None`` where the adapter does not fit and so could not be measured."""
    return Check.of("adapter_effect", effect.max_abs if effect else None, kind)


def finite_check(model: Path, kind: str) -> Check:
    """No tensor holds a not-a-number or an infinity; the value counts those that do."""
    bad = [name for name, tensor in _floats(ModelFolder.open(model)) if not _is_finite(tensor)]
    return Check.of("tensors_finite", len(bad), kind, differing=bad[:8] or None)


def _floats(folder: ModelFolder) -> Any:
    for shard in folder.shards:
        with safe_open(str(shard), framework="pt") as file:
            for name in file.keys():  # noqa: SIM118, not a dict
                tensor = file.get_tensor(name)
                if tensor.is_floating_point():
                    yield name, tensor


def _is_finite(tensor: torch.Tensor) -> bool:
    return all(bool(torch.isfinite(part).all()) for part in tensor.reshape(-1).split(_FINITE_VALUES))


def measured(home: Path, rows: Rows) -> Measured:
    """What is measured on, by the template and the tokenizer of ``home``."""
    return measured_rows(
        open_renderer(home),
        load_tokenizer(home),
        rows,
        most_tokens=MOST_TOKENS,
        real_tokens=REAL_TOKENS,
    )


def _base_checks(adapter: Path, base: Path, base_print: dict[str, str]) -> list[Check]:
    """The base is the one that the adapter records; an adapter made elsewhere records none.

    An adapter that was trained on packed weights belongs to their original too: then the tokenizer decides.
    """
    record = read_base_record(adapter)
    if record is None or not record.fingerprint:
        return []
    packed = Path(record.ref)
    told = dict(record.fingerprint)
    if quantised_folder(packed) and packed.resolve() != base.resolve():
        told = {"tokenizer": told["tokenizer"]} if "tokenizer" in told else {}
    parts = differing_parts(told, base_print) if told else []
    return [Check.of("base_fingerprint", not parts, "merge", differing=parts or None)]


def _lost_check(same: Agreement, effect: Agreement) -> Check:
    """How much of what was learnt the merge lost."""
    return Check.of(
        "effect_lost", same.kl_mean / effect.kl_mean if effect.kl_mean > 0 else float("inf"), "merge"
    )


def closeness_checks(same: Agreement, noise: Agreement | None, kind: str, *, half: bool) -> list[Check]:
    """Two models are the same one: by their logits, or rounded to 16 bits by their next tokens and their KL."""
    top1, kl = (noise.top1, noise.kl_mean) if noise else (None, None)
    checks = [
        Check.of("top1_agreement", same.top1, kind, reference=top1),
        Check.of("kl_mean", same.kl_mean, kind, reference=kl),
    ]
    if not half:
        checks.insert(0, Check.of("max_abs_logit_difference", same.max_abs, kind, largest=same.largest))
    return checks


def scores_check(scores: Sequence[torch.Tensor], kind: str) -> Check:
    """A scoring head says different things of different texts; the value is the widest range of a score."""
    told = torch.cat(list(scores))
    return Check.of("scores_differ", float((told.amax(0) - told.amin(0)).max()), kind)


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


def _measure_adapted(
    found: FoundModel,
    measured: Measured,
    dtype: str,
    half: torch.dtype | None = None,
    together: Together | None = None,
) -> tuple[Adapted | None, Check]:
    """Both sets of logits (of a model that scores: scores, by the trained head) out of one load, and whether every
    tensor of the adapter found its place.
    """
    folder = ModelFolder.open(found.path)
    problems = adapter_problems(folder, ModelFolder.open(found.base))
    if problems:
        return None, Check.of("targets_matched", len(problems), "adapter", differing=problems[:8])
    model = load_model(found, dtype=dtype, device="cpu", verify=False)
    fits = _inside_check(model, folder)
    if together is not None:
        add_adapters(model, together)
    if head_of(folder):
        tuned = record_scores(model, measured.ids)
        with base_with_head(model):
            return Adapted(
                tuned, agreement_of(zip(tuned, record_scores(model, measured.ids), strict=True))
            ), fits
    tuned = record_logits(model, measured.ids)
    with model.disable_adapter():
        effect = agreement_with(tuned, model, measured.ids)
    merged = half is not None and merge_and_round(model, half)
    return Adapted(tuned, effect, agreement_with(tuned, model, measured.ids) if merged else None), fits


def _compare_merged(
    whole: FoundModel, adapted: Adapted, measured: Measured, dtype: str
) -> tuple[Agreement, float]:
    """How the merged model agrees, and the largest number inside it."""
    model = load_model(whole, dtype=dtype, device="cpu")
    with largest_activation(model) as seen:
        same = agreement_with(adapted.tuned, model, measured.ids)
    return same, seen.value


def range_checks(folder: ModelFolder, largest: float, kind: str) -> list[Check]:
    """What is stored as float16 is run as float16: no number inside may be too large for it."""
    return [Check.of("activations_in_range", largest, kind)] if folder.dtype == "float16" else []


def _inside_check(model: Any, folder: ModelFolder) -> Check:
    """Every tensor of the file is in the model with its shape, and the model's adapter has no other."""
    inside = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(model).items()}
    in_file = {name: tuple(info.shape) for name, info in folder.tensors.items()}
    odd = sorted(name for name in inside.keys() | in_file.keys() if inside.get(name) != in_file.get(name))
    value = len(odd) if inside else max(1, len(odd))
    return Check.of("targets_matched", value, "adapter", differing=odd[:8] or None)
