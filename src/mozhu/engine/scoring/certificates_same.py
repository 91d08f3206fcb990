"""Certificates of copies: the same model in another layout, another type of numbers, or quantised."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from mozhu.engine.scoring.activations import largest_activation
from mozhu.engine.scoring.agreement import agreement_with, mean_loss, record_logits
from mozhu.engine.scoring.certificates import (
    HALF,
    Rows,
    closeness_checks,
    extent,
    finite_check,
    known_rows,
    language_checks,
    measured,
    measuring_dtype,
    range_checks,
)
from mozhu.engine.scoring.reference import quantise_weights, round_weights
from mozhu.engine.scoring.sealing import sealed, source_entry
from mozhu.engine.scoring.structure import same_structure
from mozhu.engine.scoring.threads import spare_threads
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import load_model, tokenizer_folder
from mozhu.engine.weights.references import FoundModel
from mozhu.specs.records.certificate import Certificate, Check


@spare_threads()
def certify_conversion(source: FoundModel, copy: FoundModel, rows: Rows | None = None) -> Certificate:
    """The certificate (kind ``conversion``) that ``copy`` is ``source`` and nothing else: re-sharded, saved again, in
    another type of numbers, or another checkpoint of the same state. Both are models, or adapters with their bases.

    Equal logits; of 16-bit copies equal next tokens, judged by the noise of rounding the source to that type.

    Args:
        rows: Prepared rows to measure on, besides the fixed conversations; by default the first of its training.
    """
    first, second = ModelFolder.open(source.path), ModelFolder.open(copy.path)
    home, other = tokenizer_folder(source), tokenizer_folder(copy)
    real = known_rows(rows, copy.path, source.path)
    taken = measured(home, real.rows)
    dtype = measuring_dtype(source.base)
    half = HALF.get(second.dtype) if second.dtype != first.dtype else HALF.get(dtype)
    structure = same_structure(first, second, "conversion")
    checks = [finite_check(second.path, "conversion"), *structure]
    same = noise = None
    if all(check.ok for check in structure):  # transformers would make up what is missing
        model = load_model(source, dtype=dtype, device="cpu", verify=False)
        logits = record_logits(model, taken.ids)
        if half is not None:
            round_weights(model, half)
            noise = agreement_with(logits, model, taken.ids)
        del model
        gc.collect()
        model = load_model(copy, dtype=dtype, device="cpu", verify=False)
        with largest_activation(model) as seen:
            same = agreement_with(logits, model, taken.ids)
        checks += closeness_checks(same, noise, "conversion", half=half is not None)
        checks += range_checks(second, seen.value, "conversion")
    checks += language_checks(source.base if source.adapter is None else home, home, other, real.rows)
    return sealed(
        "conversion",
        checks,
        artefact=copy.path,
        made_from=[
            source_entry("source", source.path, copy.path, fingerprint=fingerprint(source.path)["whole"])
        ],
        prints=fingerprint(copy.path),
        measured=extent(dtype, taken, real, agreement=same, reference=noise),
    )


@spare_threads()
def certify_quantised(source: FoundModel, copy: FoundModel, rows: Rows | None = None) -> Certificate:
    """The certificate (kind ``quantised``) of a model folder whose weights are those of ``source`` in few bits.

    Mean KL and the change of perplexity are judged by what the plainest quantisation of the source to as many bits
    (round to nearest, in blocks of 64) does to it on the same text: a quantiser that is worth its name is no worse.

    Args:
        rows: Prepared rows to measure on, besides the fixed conversations; by default the first of its training.
    """
    folder = ModelFolder.open(copy.path)
    bits = quantised_bits(folder.config) or 4
    kind = "INT8" if bits > 4 else "INT4"
    real = known_rows(rows, copy.path, source.path)
    taken = measured(source.base, real.rows)
    dtype = measuring_dtype(source.base)
    model = load_model(source, dtype=dtype, device="cpu")
    logits = record_logits(model, taken.ids)
    quantise_weights(model, bits)
    noise = agreement_with(logits, model, taken.ids)
    del model
    gc.collect()
    made = record_logits(load_model(copy, dtype=dtype, device="cpu"), taken.ids)
    same = agreement_with(logits, _Recorded(made), taken.ids)
    change = abs(mean_loss(made, taken.ids) - mean_loss(logits, taken.ids))
    facts: dict[str, Any] = {"type": kind, "reference": noise.kl_mean}
    checks = [
        finite_check(copy.path, "quantised"),
        Check.of("kl_mean", same.kl_mean, "quantised", **facts),
        Check.of("perplexity_difference", change, "quantised", **facts, positions=same.positions),
        *language_checks(source.base, source.base, copy.path, real.rows),
    ]
    return sealed(
        "quantised",
        checks,
        artefact=copy.path,
        made_from=[
            source_entry("source", source.path, copy.path, fingerprint=fingerprint(source.path)["whole"])
        ],
        prints=fingerprint(copy.path),
        measured={"type": kind, **extent(dtype, taken, real, agreement=same, reference=noise)},
    )


def quantised_bits(config: dict[str, Any]) -> int | None:
    """The bits of a folder that says it is quantised; ``None`` for one that does not."""
    told = config.get("quantization_config")
    if not isinstance(told, dict):
        return None
    if told.get("load_in_8bit"):
        return 8
    bits = told.get("bits", told.get("w_bit"))
    return int(bits) if isinstance(bits, int) else 4


class _Recorded:
    """Recorded logits as a model that is asked for each row in turn."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = iter(rows)

    def logits(self, ids: object) -> Any:
        return next(self._rows)


def found_model(folder: Path, base: Path | None = None) -> FoundModel:
    """A model folder, or an adapter on ``base``."""
    return FoundModel(folder.name, folder, None if base is None else folder, base or folder)
