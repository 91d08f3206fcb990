"""``mozhu adapters extract``: the adapter that comes nearest to what a full fine-tuning did to its base."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from mozhu.engine.export.adapters.methods import cut_to_rank
from mozhu.engine.export.adapters.write import factor_keys, plain_config, write_adapter
from mozhu.engine.export.checkpoint import Checkpoint, open_checkpoint
from mozhu.engine.export.names import EMBEDDINGS
from mozhu.engine.export.open_edits import read_tensor
from mozhu.engine.export.plan import TRANSPOSED_FAMILIES
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import NoEffect, NotSameModel
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.adapters import ExtractSpec
from mozhu.specs.records.result import Metric, Outcome

# Above this many rows and columns only the leading singular vectors are looked for (arXiv:0909.4061).
_EXACT_SIDE = 1536
_MORE, _PASSES = 16, 6


def run_extract(spec: ExtractSpec, folder: Path, emit: Emit) -> Outcome:
    """The adapter of rank ``spec.rank``, and how much of the difference it does not hold, tensor by tensor.

    Raises:
        NotSameModel: EXPORT-033. NoEffect: EXPORT-003, the two models are equal. CertificateFailed: EXPORT-005.
    """
    base_folder = ModelFolder.open(find_model(spec.base_model).path)
    tuned_folder = ModelFolder.open(find_model(spec.model).path)
    base, tuned = open_checkpoint(base_folder.shards), open_checkpoint(tuned_folder.shards)
    _check_same(base, tuned, base_folder.path, tuned_folder.path)
    turned = base_folder.family in TRANSPOSED_FAMILIES
    tensors: dict[str, torch.Tensor] = {}
    ranks: dict[str, int] = {}
    errors: dict[str, float] = {}
    whole, lost = 0.0, 0.0
    left_out = []
    for number, name in enumerate(base.entries, start=1):
        emit("step", step=number, total=len(base.entries), unit="tensor", tensor=name)
        delta = read_tensor(tuned, name).float() - read_tensor(base, name).float()
        length = float(torch.linalg.vector_norm(delta, dtype=torch.float64))
        whole += length**2
        if length == 0.0:
            continue
        if delta.dim() != 2 or not name.endswith(".weight"):
            left_out.append(name)
            lost += length**2
            continue
        embedding = name.endswith(EMBEDDINGS)
        a, b = _nearest(delta.T if embedding or turned else delta, spec.rank)
        rest = (delta.T if embedding or turned else delta).sub(b @ a)
        left = float(torch.linalg.vector_norm(rest, dtype=torch.float64))
        module = name.removesuffix(".weight")
        tensors.update(zip(factor_keys(module, embedding=embedding), (a, b), strict=True))
        ranks[module], errors[name] = a.shape[0], left / length
        lost += left**2
    if not tensors:
        raise NoEffect(path=str(tuned_folder.path), reason=text("export.reason.all_equal"))
    error = math.sqrt(lost / whole)
    made_from = {
        "made_by": "adapters.extract",
        "model": tuned_folder.path.name,
        "rank": spec.rank,
        "error": error,
        "errors": errors,
        "left_out": left_out,
    }
    like = {"task_type": "CAUSAL_LM", "bias": "none", "fan_in_fan_out": turned, "lora_dropout": 0.0}
    return write_adapter(
        spec.output_path,
        folder,
        plain_config(like, str(base_folder.path), ranks, spec.rank),
        tensors,
        made_from,
        base=base_folder.path,
        like=None,
        emit=emit,
        inputs=[base_folder.path, tuned_folder.path],
        overwrite=spec.overwrite,
        metrics={
            "error": Metric(value=error, n=len(base.entries), signature="|dW - BA| / |dW|, all tensors")
        },
    )


def _nearest(delta: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    rank = min(rank, *delta.shape)
    if min(delta.shape) <= _EXACT_SIDE:
        return cut_to_rank(delta, rank)
    torch.manual_seed(0)
    left, values, right = torch.svd_lowrank(delta, q=min(rank + _MORE, *delta.shape), niter=_PASSES)
    return right[:, :rank].T.contiguous(), left[:, :rank] * values[:rank]


def _check_same(base: Checkpoint, tuned: Checkpoint, base_path: Path, path: Path) -> None:
    problems = [
        text("export.reason.not_in_base", tensor=name) for name in tuned.entries.keys() - base.entries
    ]
    problems += [
        text("export.reason.missing_tensor", tensor=name) for name in base.entries.keys() - tuned.entries
    ]
    for name in base.entries.keys() & tuned.entries.keys():
        one, other = base.entries[name].shape, tuned.entries[name].shape
        if one != other:
            problems.append(text("export.reason.shape", tensor=name, base=list(one), adapter=list(other)))
    if problems:
        raise NotSameModel(
            path=str(path), base=str(base_path), count=len(problems), problems=sorted(problems)[:8]
        )
