"""What a checked folder or file is: kind, architecture, size, type of numbers, template, licence. Loads no tensor."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mozhu.engine.intake.scan import FileScan
from mozhu.engine.weights.headers import NAME_OF_DTYPE, scan_header
from mozhu.engine.weights.token_files import read_template
from mozhu.kernel.gguf import read_gguf_file
from mozhu.kernel.safetensors import BITS_OF

_LICENCE = re.compile(r"^licen[cs]e:\s*[\"']?([\w.+-]+)", re.MULTILINE | re.IGNORECASE)
_KNOWN = (
    ("apache license", "apache-2.0"),
    ("mit license", "mit"),
    ("gnu general public license", "gpl"),
    ("bsd 3-clause", "bsd-3-clause"),
)
_GGUF_DTYPES = {0: "float32", 1: "float16", 30: "bfloat16"}


@dataclass(frozen=True)
class Recognised:
    """``root`` is the folder of the model inside what was looked at, ``.`` for itself."""

    kind: str
    root: str
    architecture: str | None = None
    family: str | None = None
    parameters: int | None = None
    size_bytes: int = 0
    dtype: str | None = None
    has_template: bool = False
    licence: str | None = None
    base_model: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def recognise(scans: list[FileScan]) -> Recognised | None:
    """The one model among ``scans``; ``None`` where there is none. Weights in the shallowest folder count."""
    kept = [scan for scan in scans if scan.kept]
    weights = [scan for scan in kept if scan.kind in ("safetensors", "gguf", "torch", "pickle")]
    if not weights:
        return None
    root = min(
        {str(PurePosixPath(scan.name).parent) for scan in weights}, key=lambda name: (name.count("/"), name)
    )
    inside = {
        PurePosixPath(scan.name).name: scan for scan in kept if str(PurePosixPath(scan.name).parent) == root
    }
    sizes = sum(scan.path.stat().st_size for scan in kept)
    held = [scan for scan in weights if scan in inside.values()]
    ggufs = [scan for scan in held if scan.kind == "gguf"]
    if ggufs:
        return _gguf(ggufs, root, sizes, inside)
    settings = {
        name: _object(inside[name].path) for name in ("config.json", "adapter_config.json") if name in inside
    }
    config, adapter = settings.get("config.json", {}), settings.get("adapter_config.json")
    kind = "adapter" if adapter is not None else "model" if config else "weights"
    tensors = list(_tensors(held))
    architectures = config.get("architectures")
    return Recognised(
        kind=kind,
        root=root,
        architecture=str(architectures[0]) if isinstance(architectures, list) and architectures else None,
        family=_text((adapter or config).get("peft_type" if adapter is not None else "model_type")),
        parameters=sum(math.prod(shape) for _, shape in tensors) or None,
        size_bytes=sizes,
        dtype=_dtype(tensors),
        has_template=_has_template(inside),
        licence=_licence(inside) or _text(config.get("license")),
        base_model=_text((adapter or {}).get("base_model_name_or_path")),
    )


def recognise_whole(scans: list[FileScan]) -> Recognised:
    """What is known of all of ``scans``, also where it is no model (kind ``files``).

    Its root is the one folder that holds everything, so that nothing is left behind.
    """
    tops = {PurePosixPath(scan.name).parts[0] for scan in scans if scan.kept}
    nested = all("/" in scan.name for scan in scans if scan.kept)
    root = next(iter(tops)) if len(tops) == 1 and nested else "."
    sizes = sum(scan.path.stat().st_size for scan in scans if scan.kept)
    found = recognise(scans)
    return Recognised("files", root, size_bytes=sizes) if found is None else replace(found, root=root)


def _gguf(files: list[FileScan], root: str, size_bytes: int, inside: dict[str, FileScan]) -> Recognised:
    headers = [read_gguf_file(scan.path) for scan in files]
    metadata: dict[str, Any] = {}
    kinds: Counter[int] = Counter()
    for header in headers:
        metadata.update(header.metadata)
        for tensor in header.tensors.values():
            kinds[tensor.kind] += tensor.size_bytes
    family = _text(metadata.get("general.architecture"))
    most = kinds.most_common(1)[0][0] if kinds else None
    count = sum(math.prod(tensor.shape) for header in headers for tensor in header.tensors.values())
    return Recognised(
        kind="gguf",
        root=root,
        architecture=family,
        family=family,
        parameters=count or None,
        size_bytes=size_bytes,
        dtype=None if most is None else _GGUF_DTYPES.get(most, f"ggml-{most}"),
        has_template="tokenizer.chat_template" in metadata,
        licence=_text(metadata.get("general.license")) or _licence(inside),
    )


def _tensors(scans: Iterable[FileScan]) -> Iterable[tuple[str, tuple[int, ...]]]:
    """Type and shape of every tensor; a folder that has safetensors is not counted a second time by its pickles."""
    scans = list(scans)
    safe = [scan for scan in scans if scan.kind == "safetensors"]
    for scan in safe:
        yield from ((info.dtype, info.shape) for info in scan_header(scan.path)[0].values())
    for scan in [] if safe else scans:
        if scan.checkpoint is not None:
            yield from ((tensor.dtype, tensor.shape) for tensor in scan.checkpoint.weights.tensors)


def _dtype(tensors: list[tuple[str, tuple[int, ...]]]) -> str | None:
    sizes: Counter[str] = Counter()
    for dtype, shape in tensors:
        sizes[dtype] += math.prod(shape) * BITS_OF[dtype]
    code = sizes.most_common(1)[0][0] if sizes else None
    return None if code is None else NAME_OF_DTYPE.get(code, code.lower())


def _has_template(inside: dict[str, FileScan]) -> bool:
    folder = next(iter(inside.values())).path.parent
    names = {"chat_template.jinja", "chat_template.json", "tokenizer_config.json"} & inside.keys()
    return bool(names) and bool(read_template(folder))


def _licence(inside: dict[str, FileScan]) -> str | None:
    """The card's front matter, else the title of the licence file."""
    if "README.md" in inside and (match := _LICENCE.search(_head(inside["README.md"].path))):
        return match[1].lower()
    file = next((scan for name, scan in inside.items() if name.split(".")[0] in ("LICENSE", "LICENCE")), None)
    words = " ".join(_head(file.path).lower().split()) if file else ""
    return next((name for title, name in _KNOWN if title in words), "other" if words else None)


def _head(path: Path) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(4096)


def _object(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8-sig"))
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
