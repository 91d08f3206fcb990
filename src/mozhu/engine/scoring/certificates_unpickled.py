"""The certificate of weights by themselves: which numbers they are, without asking the model anything.

Reads by numpy alone, so that a machine that only looks at uploads needs no model library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mozhu.engine.scoring.sealing import certified_files, is_whole, listed_tensors, sealed
from mozhu.engine.weights.content import file_content
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.headers import TensorInfo, read_header
from mozhu.kernel.files import reading, sha256_json
from mozhu.specs.records.certificate import Certificate, Check

KIND = "weights"
_SHOWN = 8
_BLOCK_BYTES = 16 << 20
# Of each type: its bits as an unsigned integer, and those bits that are all set in every infinity and not-a-number.
_NOT_FINITE = {
    "F64": ("<u8", 0x7FF0000000000000),
    "F32": ("<u4", 0x7F800000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
    "F8_E5M2": ("u1", 0x7C),
    "F8_E4M3": ("u1", 0x7F),
}


def certify_unpickled(
    artefact: Path,
    digests: Mapping[str, Mapping[str, str]],
    made_from: Sequence[Mapping[str, Any]],
) -> Certificate:
    """The certificate (kind ``weights``) of safetensors that a shut-in process wrote out of pickles.

    Args:
        digests: By file of ``artefact``: of each tensor, as torch loaded it there, the sha256 of its bytes (hex).
        made_from: The pickles, each with its hash.
    """
    files = [artefact / name for name in digests]
    content = {name: file_content(artefact / name).tensors for name in digests}
    found = {(file, name): own for file, tensors in content.items() for name, _, _, own in tensors}
    wanted = {(file, name): own for file, tensors in digests.items() for name, own in tensors.items()}
    odd = sorted(name for _, name in found.keys() ^ wanted.keys())
    other = sorted(name for (file, name), own in wanted.items() if found.get((file, name), own) != own)
    return weights_certificate(artefact, files, made_from, matched=odd, equal=other)


def weights_certificate(
    artefact: Path,
    files: Sequence[Path],
    made_from: Sequence[Mapping[str, Any]],
    *,
    matched: Sequence[str],
    equal: Sequence[str],
) -> Certificate:
    """The record; ``matched`` and ``equal`` name the tensors that are not the source's."""
    infinite = [info.name for path in files for info in read_header(path).values() if not _is_finite(info)]
    checks = [
        Check.of("tensors_finite", len(infinite), KIND, differing=infinite[:_SHOWN] or None),
        Check.of("tensors_matched", len(matched), KIND, differing=list(matched[:_SHOWN]) or None),
        Check.of("tensors_equal", len(equal), KIND, differing=list(equal[:_SHOWN]) or None),
    ]
    count = sum(len(read_header(path)) for path in files)
    told: dict[str, Any] = {"artefact": artefact, "made_from": [dict(item) for item in made_from]}
    told["measured"] = {"tensors": count}
    if is_whole(artefact):
        return sealed(KIND, checks, prints=fingerprint(artefact), **told)
    own = sorted(item for path in files for item in file_content(path).tensors)
    listed = listed_tensors(own)
    prints = {"weights": sha256_json(own)}
    return sealed(KIND, checks, prints=prints, files=certified_files(artefact), tensors=listed, **told)


def _is_finite(info: TensorInfo) -> bool:
    bits, mask = _NOT_FINITE.get(info.dtype, ("", 0))
    if not bits:
        return True
    with reading(info.path), open(info.path, "rb", buffering=0) as file:
        file.seek(info.start)
        left = info.size_bytes
        while left:
            block = file.read(min(left, _BLOCK_BYTES))
            block += file.read(-len(block) % np.dtype(bits).itemsize)
            if not block:
                raise EOFError(str(info.path))
            left -= len(block)
            if bool(((np.frombuffer(block, bits) & mask) == mask).any()):
                return False
    return True
