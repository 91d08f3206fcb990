"""The certificate of a model that was trained in full: it is its base, changed by training and by nothing else."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig

from mozhu.engine.inference.scores import record_scores
from mozhu.engine.scoring.agreement import Agreement, agreement_with, record_logits
from mozhu.engine.scoring.certificates import (
    extent,
    finite_check,
    known_rows,
    language_checks,
    measured,
    measuring_dtype,
    scores_check,
)
from mozhu.engine.scoring.sealing import sealed, source_entry
from mozhu.engine.scoring.structure import same_structure
from mozhu.engine.scoring.threads import spare_threads
from mozhu.engine.weights.adapter_fit import place_of
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.head_record import HEADS, head_of
from mozhu.engine.weights.load import load_model
from mozhu.engine.weights.references import FoundModel
from mozhu.specs.records.certificate import Certificate, Check

# What a configuration may say otherwise than its base's: number type, versions, and what a new head brings along.
_FREE = {"dtype", "torch_dtype", "transformers_version", "_name_or_path", "use_cache"}
_OF_HEAD = {"architectures", "id2label", "label2id", "num_labels", "problem_type", "pad_token_id"}
_LANGUAGE_HEADS = ("lm_head.weight", "output.weight", "embed_out.weight")


@spare_threads()
def certify_full(
    base: str | Path, model: str | Path, rows: Sequence[dict[str, Any]] | None = None
) -> Certificate:
    """The certificate (kind ``full``) of ``model``, trained in full from ``base``.

    Checks: every number is finite; the tensors are the base's by name and shape, and some differ; the
    configuration is the base's; it loads, and its logits differ by at least 0.001 from the base's (of a model that
    scores: its scores differ from text to text); stop tokens (of a model
    that writes), vocabulary and template are the base's.

    Args:
        rows: Prepared rows to measure on, besides the fixed conversations.
    """
    first, second = ModelFolder.open(base), ModelFolder.open(model)
    real = known_rows(rows, second.path)
    taken = measured(second.path, real.rows)
    dtype = measuring_dtype(first.path)
    scores = head_of(second) is not None
    matched, changed = _tensor_checks(first, second)
    checks = [
        finite_check(second.path, "full"),
        matched,
        changed,
        _config_check(first, second, scores=scores),
    ]
    if not scores:
        matched, tying = same_structure(first, second, "full")
        checks[1:2] = [matched, tying]
    effect = None
    if scores:
        checks.append(_scores(second, taken.ids, dtype))
    elif matched.ok:  # transformers would make up what is missing
        effect = _effect(first, second, taken.ids, dtype)
    if not scores:
        checks.append(Check.of("training_effect", effect.max_abs if effect else None, "full"))
    language = language_checks(first.path, first.path, second.path, real.rows)
    checks += [check for check in language if not (scores and check.name == "stop_ids_equal")]
    base_print = fingerprint(base)
    return sealed(
        "full",
        checks,
        artefact=second.path,
        made_from=[source_entry("base", first.path, second.path, fingerprint=base_print["whole"])],
        prints=fingerprint(model),
        measured=extent(dtype, taken, real, effect=effect),
    )


def _effect(base: ModelFolder, model: ModelFolder, ids: list[list[int]], dtype: str) -> Agreement:
    """What training has changed."""
    after = record_logits(_loaded(model, dtype), ids)
    gc.collect()
    return agreement_with(after, _loaded(base, dtype), ids)


def _scores(model: ModelFolder, ids: list[list[int]], dtype: str) -> Check:
    return scores_check(record_scores(_loaded(model, dtype), ids), "full")


def _loaded(folder: ModelFolder, dtype: str) -> Any:
    return load_model(FoundModel(folder.path.name, folder.path, None, folder.path), dtype=dtype, device="cpu")


def _tensor_checks(base: ModelFolder, model: ModelFolder) -> tuple[Check, Check]:
    """Tensors that are not the base's by name and shape; and how many of the others training has changed."""
    before, after = _by_place(base), _by_place(model)
    different = sorted(
        place
        for place in before.keys() | after.keys()
        if place not in before
        or place not in after
        or base.tensors[before[place]].shape != model.tensors[after[place]].shape
    )
    matched = Check.of("tensors_matched", len(different), "full", differing=different[:8] or None)
    shared = sorted(before.keys() & after.keys())
    changed = sum(not _equal(base, before[place], model, after[place]) for place in shared)
    return matched, Check.of("tensors_changed", changed, "full", of=len(shared))


def _by_place(folder: ModelFolder) -> dict[str, str]:
    """Names of tensors by their place; heads are left out where they are new, tied or replaced."""
    return {
        place_of(name): name
        for name in folder.tensors
        if not name.endswith(HEADS) and not name.endswith(_LANGUAGE_HEADS)
    }


def _equal(base: ModelFolder, name: str, model: ModelFolder, other: str) -> bool:
    first, second = _tensor(base, name), _tensor(model, other)
    return first.shape == second.shape and bool(torch.equal(first.to(second.dtype), second))


def _tensor(folder: ModelFolder, name: str) -> torch.Tensor:
    for shard in folder.shards:
        with safe_open(str(shard), framework="pt") as file:
            if name in set(file.keys()):
                found: torch.Tensor = file.get_tensor(name)
                return found
    raise KeyError(name)


def _config_check(base: ModelFolder, model: ModelFolder, *, scores: bool) -> Check:
    """Fields of the configuration with another value than the base's, read by transformers."""
    free = _FREE | _OF_HEAD if scores else _FREE
    first, second = (_fields(folder.path) for folder in (base, model))
    differing = sorted(
        name for name in (first.keys() | second.keys()) - free if first.get(name) != second.get(name)
    )
    return Check.of("config_equal", len(differing), "full", differing=differing or None)


def _fields(folder: Path) -> dict[str, Any]:
    config: Any = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    found: dict[str, Any] = config.to_dict()
    for nested in found.values():
        if isinstance(nested, dict):
            for name in _FREE:
                nested.pop(name, None)
    return found
