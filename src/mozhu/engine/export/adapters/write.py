"""An adapter that was calculated: a folder like one that was trained, with what it was made from."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from mozhu.engine.export.adapter import PREFIX
from mozhu.engine.export.certify import certify
from mozhu.engine.export.targets import check_folder_target, from_folder, resolved
from mozhu.engine.weights.base_record import BASE_RECORD
from mozhu.engine.weights.folder import ADAPTER_CONFIG
from mozhu.engine.weights.shards import ADAPTER_WEIGHTS
from mozhu.kernel.files import replacing_folder, write_json
from mozhu.kernel.progress import Emit
from mozhu.specs.records.manifest import make_manifest
from mozhu.specs.records.result import Artefact, Metric, Outcome

MADE_FROM = "made_from.json"
_BESIDE = (
    BASE_RECORD,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


def write_adapter(
    output: str,
    folder: Path,
    config: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    made_from: dict[str, Any],
    *,
    base: Path,
    like: Path | None,
    emit: Emit,
    inputs: list[Path],
    overwrite: bool,
    metrics: dict[str, Metric],
) -> Outcome:
    """The adapter in ``output``, whole and with its certificate, or what was there.

    Raises:
        CertificateFailed: EXPORT-005. TargetExists: FILE-007. OutputInsideInput: EXPORT-007.
    """
    target = resolved(output)
    check_folder_target(target, mark=MADE_FROM, inputs=inputs, overwrite=overwrite)
    with replacing_folder(target) as fresh:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            fresh / ADAPTER_WEIGHTS,
            metadata={"format": "pt"},
        )
        write_json(fresh / ADAPTER_CONFIG, config)
        for name in _BESIDE:
            if like is not None and (like / name).is_file():
                shutil.copyfile(like / name, fresh / name)
        write_json(fresh / MADE_FROM, {"schema": 1, **made_from, "tools": {"mozhu": version("mozhu")}})
        certificate = certify("certify_adapter", fresh, base, fresh, None, target=target, emit=emit)
        make_manifest(fresh).write(fresh / "manifest.json")
    artefact = Artefact(
        kind="adapter",
        path=from_folder(target, folder),
        manifest=from_folder(target / "manifest.json", folder),
        certificate=from_folder(target / "certificate.json", folder) if certificate else None,
    )
    return Outcome(artefacts=[artefact], metrics=metrics, details={"path": str(target), **made_from})


def factor_keys(module: str, *, embedding: bool) -> tuple[str, str]:
    """The keys of A and B in an adapter's file."""
    stem = f"{PREFIX}{module}.lora_"
    return (
        (f"{stem}embedding_A", f"{stem}embedding_B") if embedding else (f"{stem}A.weight", f"{stem}B.weight")
    )


def plain_config(
    like: dict[str, Any], base: str, ranks: dict[str, int], default: int | None = None
) -> dict[str, Any]:
    """The settings of a LoRA whose modules have these ranks and a scaling of 1 each."""
    rank = default or max(ranks.values())
    others = {module: own for module, own in ranks.items() if own != rank}
    return {
        **like,
        "peft_type": "LORA",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": rank,
        "use_rslora": False,
        "rank_pattern": others,
        "alpha_pattern": dict(others),
        "target_modules": sorted(ranks),
    }
