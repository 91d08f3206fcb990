"""``mozhu adapters list``, ``show`` and ``compare``: what adapters are, from their files alone."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.export.adapter import Adapter, read_adapter
from mozhu.engine.export.adapters.factors import factors_of, inner
from mozhu.engine.export.refusals import reasons_against
from mozhu.engine.weights.folder import is_adapter_folder
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import MozhuError, NoAdapter
from mozhu.specs.adapters import AdapterListSpec, AdapterShowSpec, CompareSpec

_DEEPEST = 4


@dataclass(frozen=True)
class AdapterFacts:
    """``against`` lists why it cannot be merged; empty where it can."""

    name: str
    path: str
    kind: str
    rank: int | None
    alpha: float | None
    targets: list[str]
    base: str | None
    size_bytes: int
    parameters: int
    against: list[str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def adapters_list(spec: AdapterListSpec) -> list[AdapterFacts]:
    """Every adapter below ``spec.folder`` that can be read, by its path."""
    found = []
    for path in _folders(Path(spec.folder).expanduser(), _DEEPEST):
        try:
            found.append(facts_of(read_adapter(path)))
        except MozhuError:
            continue
    return found


def adapters_show(spec: AdapterShowSpec) -> dict[str, Any]:
    """The facts of one adapter and of each of its modules: rank, scaling, ‖ΔW‖, its largest singular values."""
    adapter = _opened(spec.adapter)
    modules = []
    for module, factors in factors_of(adapter).items():
        values = [float(value) for value in factors.singular_values()]
        energy = sum(value**2 for value in values)
        share = [value**2 / energy for value in values] if energy else []
        # The number of equal directions that would be as spread as these (exponential of the entropy).
        effective = math.exp(-sum(part * math.log(part) for part in share if part > 0)) if share else 0.0
        modules.append(
            {
                "module": module,
                "rank": factors.rank,
                "scaling": factors.scaling,
                "length": factors.length,
                "effective_rank": effective,
                "singular_values": values[:4],
            }
        )
    return {**facts_of(adapter).to_json(), "modules": modules, "settings": adapter.config}


def adapters_compare(spec: CompareSpec) -> dict[str, Any]:
    """How alike the changes of two adapters are: the cosine of ΔW and ΔW' by module and over all of them."""
    one, other = _opened(spec.adapter), _opened(spec.other)
    first, second = factors_of(one), factors_of(other)
    rows, products = [], []
    for module in sorted(first.keys() & second.keys()):
        a, b = first[module], second[module]
        if (a.b.shape[0], a.a.shape[1]) != (b.b.shape[0], b.a.shape[1]):
            rows.append({"module": module, "cosine": None, "length": a.length, "other_length": b.length})
            continue
        product = inner(a, b)
        products.append(product)
        both = a.length * b.length
        cosine = product / both if both else None
        rows.append({"module": module, "cosine": cosine, "length": a.length, "other_length": b.length})
    lengths = [math.sqrt(sum(part.length**2 for part in parts.values())) for parts in (first, second)]
    whole = lengths[0] * lengths[1]
    settings = {
        name: [one.config.get(name), other.config.get(name)]
        for name in sorted(one.config.keys() | other.config.keys())
        if one.config.get(name) != other.config.get(name)
    }
    return {
        "adapter": facts_of(one).to_json(),
        "other": facts_of(other).to_json(),
        "cosine": sum(products) / whole if whole else None,
        "lengths": lengths,
        "modules": rows,
        "only_in_adapter": sorted(first.keys() - second.keys()),
        "only_in_other": sorted(second.keys() - first.keys()),
        "settings": settings,
    }


def facts_of(adapter: Adapter) -> AdapterFacts:
    config, entries = adapter.config, adapter.tensors.entries.values()
    targets = config.get("target_modules") or []
    return AdapterFacts(
        adapter.folder.name,
        str(adapter.folder),
        adapter.kind,
        config.get("r"),
        config.get("lora_alpha"),
        [targets] if isinstance(targets, str) else sorted(map(str, targets)),
        config.get("base_model_name_or_path"),
        sum(entry.size_bytes for entry in entries),
        sum(entry.count for entry in entries),
        reasons_against(config),
    )


def _opened(ref: str) -> Adapter:
    path = Path(ref).expanduser()
    if not is_adapter_folder(path):
        found = find_model(ref)
        if found.adapter is None:
            raise NoAdapter(path=str(found.path))
        path = found.adapter
    return read_adapter(path)


def _folders(folder: Path, depth: int) -> list[Path]:
    if not folder.is_dir():
        return []
    if is_adapter_folder(folder):
        return [folder]
    if not depth:
        return []
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    return [found for path in inside for found in _folders(path, depth - 1)]
