"""What an adapter was trained on, where that is not what it is merged into: a quantised base has no weights that a
merge could change to the last bit, so the merge goes into its 16-bit original, and the record says so.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from mozhu.engine.export.adapter import Adapter
from mozhu.engine.weights.base_record import read_base_record
from mozhu.engine.weights.folder import CONFIG
from mozhu.engine.weights.references import RUN_SPEC
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_json


def trained_on(adapter: Adapter) -> dict[str, Any]:
    """``base``: as the adapter names it; ``quantization``: how its weights were packed in training, else None."""
    ref = _ref(adapter)
    packed = quantisation_of(Path(ref)) if ref else None
    return {"base": Path(ref).name if ref else None, "quantization": packed or _asked_for(adapter.folder)}


def quantised_base(adapter: Adapter) -> Path | None:
    """The folder of packed weights that the adapter was trained on, where it names one that is still there."""
    ref = _ref(adapter)
    return Path(ref) if ref and quantisation_of(Path(ref)) else None


def quantisation_of(folder: Path) -> str | None:
    """How the weights in ``folder`` are packed (``bitsandbytes``, ``gptq`` …), by its own configuration."""
    with suppress(MozhuError):
        config = _object(folder / CONFIG)
        told = config.get("quantization_config")
        return str(told.get("quant_method", "?")) if isinstance(told, dict) else None
    return None


def _ref(adapter: Adapter) -> str | None:
    record = read_base_record(adapter.folder)
    return record.ref if record else adapter.config.get("base_model_name_or_path")


def _asked_for(folder: Path) -> str | None:
    """What the run that made the adapter was asked for: a base packed while it was loaded."""
    with suppress(MozhuError):
        fields = _object(folder.parent / RUN_SPEC).get("fields")
        told = fields.get("quantization") if isinstance(fields, dict) else None
        return None if told in (None, "none") else str(told)
    return None


def _object(path: Path) -> dict[str, Any]:
    value = read_json(path)
    return value if isinstance(value, dict) else {}
