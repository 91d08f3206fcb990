"""``mozhu adapters combine`` and ``scale``: new adapters out of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.engine.export.adapter import Adapter, open_adapter
from mozhu.engine.export.adapters.factors import Factors, factors_of, reasons_against_arithmetic
from mozhu.engine.export.adapters.methods import OF_FACTORS, combined
from mozhu.engine.export.adapters.write import factor_keys, plain_config, write_adapter
from mozhu.engine.weights.references import FoundModel, find_model
from mozhu.kernel.errors import CannotCombine, NoAdapter
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.adapters import CombineSpec, ScaleSpec
from mozhu.specs.records.result import Metric, Outcome

_LENGTH = "|dW| over all modules"


def run_combine(spec: CombineSpec, folder: Path, emit: Emit) -> Outcome:
    """One adapter of several, written to ``spec.output_path`` with what it was made from.

    Raises:
        NoAdapter: EXPORT-001. CannotCombine: EXPORT-032 with every reason. CertificateFailed: EXPORT-005.
    """
    found = [_found(ref, spec.base_model) for ref in spec.adapters]
    adapters = [open_adapter(one.path) for one in found]
    weights = spec.weights or (1.0,) * len(adapters)
    if reasons := [reason for adapter in adapters for reason in reasons_against_arithmetic(adapter)]:
        raise CannotCombine(reasons=reasons)
    modules: dict[str, list[tuple[Factors, float]]] = {}
    for adapter, weight in zip(adapters, weights, strict=True):
        for module, factors in factors_of(adapter).items():
            modules.setdefault(module, []).append((factors, weight))
    _check_shapes(modules, spec.method)
    tensors: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for number, (module, parts) in enumerate(sorted(modules.items()), start=1):
        rank = spec.rank or max(part.rank for part, _ in parts)
        made = combined(parts, spec.method, rank, spec.density or 1.0, spec.seed)
        keys = factor_keys(module, embedding=parts[0][0].embedding)
        tensors.update(zip(keys, made, strict=True))
        ranks[module] = made[0].shape[0]
        emit("step", step=number, total=len(modules), unit="module")
    made_from = {
        "made_by": "adapters.combine",
        "method": spec.method,
        "adapters": [one.name for one in found],
        "weights": list(weights),
        "density": spec.density,
        "seed": spec.seed,
    }
    config = plain_config(adapters[0].config, str(found[0].base), ranks)
    length = _length(tensors, ranks)
    return write_adapter(
        spec.output_path,
        folder,
        config,
        tensors,
        made_from,
        base=found[0].base,
        like=found[0].path,
        emit=emit,
        inputs=[one.path for one in found],
        overwrite=spec.overwrite,
        metrics={"length": Metric(value=length, n=len(ranks), signature=_LENGTH)},
    )


def run_scale(spec: ScaleSpec, folder: Path, emit: Emit) -> Outcome:
    """The adapter ``spec.factor`` times as strong, written to ``spec.output_path``.

    Raises:
        NoAdapter: EXPORT-001. CannotCombine: EXPORT-032. CertificateFailed: EXPORT-005.
    """
    found = _found(spec.adapter, spec.base_model)
    adapter = open_adapter(found.path)
    if reasons := reasons_against_arithmetic(adapter):
        raise CannotCombine(reasons=reasons)
    modules = factors_of(adapter)
    tensors: dict[str, Any] = {}
    ranks: dict[str, int] = {}
    for module, factors in modules.items():
        keys = factor_keys(module, embedding=factors.embedding)
        tensors.update(zip(keys, (factors.a, factors.b), strict=True))
        ranks[module] = factors.rank
    config, exact = _scaled(adapter, spec.factor)
    if not exact:
        for key in tensors:
            if "lora_B" in key or "lora_embedding_B" in key:
                tensors[key] = tensors[key].float() * spec.factor
    length = abs(spec.factor) * sum(one.length**2 for one in modules.values()) ** 0.5
    return write_adapter(
        spec.output_path,
        folder,
        {**config, "base_model_name_or_path": str(found.base)},
        tensors,
        {"made_by": "adapters.scale", "adapters": [found.name], "factor": spec.factor},
        base=found.base,
        like=found.path,
        emit=emit,
        inputs=[found.path],
        overwrite=spec.overwrite,
        metrics={"length": Metric(value=length, n=len(ranks), signature=_LENGTH)},
    )


def _scaled(adapter: Adapter, factor: float) -> tuple[dict[str, Any], bool]:
    """Settings with every alpha times ``factor``, where these stay whole numbers: then no tensor is rounded."""
    alphas = {**(adapter.config.get("alpha_pattern") or {}), "": adapter.config.get("lora_alpha", 8)}
    scaled = {name: float(alpha) * factor for name, alpha in alphas.items()}
    if factor < 0 or any(value != int(value) for value in scaled.values()):
        return dict(adapter.config), False
    whole = {name: int(value) for name, value in scaled.items()}
    return {**adapter.config, "lora_alpha": whole.pop(""), "alpha_pattern": whole}, True


def _check_shapes(modules: dict[str, list[tuple[Factors, float]]], method: str) -> None:
    reasons = []
    for module, parts in modules.items():
        shapes = {(tuple(part.b.shape)[:1] + tuple(part.a.shape)[1:]) for part, _ in parts}
        if len(shapes) > 1:
            first, second = sorted(shapes)[:2]
            reasons.append(text("export.reason.other_shape", module=module, first=first, second=second))
    ranks = sorted({part.rank for parts in modules.values() for part, _ in parts})
    uneven = any(len({part.rank for part, _ in parts}) > 1 for parts in modules.values())
    if method in OF_FACTORS and uneven:
        reasons.append(text("export.reason.ranks", ranks=", ".join(map(str, ranks))))
    if reasons:
        raise CannotCombine(reasons=reasons[:8])


def _length(tensors: dict[str, Any], ranks: dict[str, int]) -> float:
    squared = 0.0
    for module in ranks:
        keys = [factor_keys(module, embedding=kind) for kind in (False, True)]
        a, b = next((tensors[a], tensors[b]) for a, b in keys if a in tensors)
        squared += Factors(module, a, b, 1.0).length ** 2
    return squared**0.5


def _found(ref: str, base: str | None) -> FoundModel:
    found = find_model(ref, base=base)
    if found.adapter is None:
        raise NoAdapter(path=str(found.path))
    return found
