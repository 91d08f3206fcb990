"""Loads one checkpoint with ``weights_only`` and writes its tensors as safetensors: the shut-in process.

Runs as ``python -I convert_pickle.py`` with nothing of ours on its path. Standard input has one JSON object: ``source``
and ``target`` are numbers of open files, ``tensors`` the wanted ones by path and name with the type and shape that
the scan saw, ``limits`` what it may use. The answer is one JSON object on standard output. Nothing of the file is
read before every right is given up.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shut_in

REACHED = shut_in.leave_network()

import torch  # noqa: E402

_PIECE_BYTES = 8 << 20
_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
    torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
    torch.complex64: "C64",
}


def main() -> int:
    job = json.loads(sys.stdin.buffer.read())
    torch.set_num_threads(1)
    _load_what_loads_late()
    REACHED.extend(shut_in.shut(job["limits"]))
    try:
        answer: dict = _convert(job)
    except Exception as error:  # the file's fault or its harm: both are the caller's to tell
        answer = {"error": _reason(error)}
    sys.stdout.write(json.dumps({**answer, "protections": REACHED}))
    return 0


def _reason(error: Exception) -> str:
    """What stood against it, without torch's advice to load it unsafely."""
    words = str(error).partition("WeightsUnpickler error:")[2] or str(error)
    words = words.partition("Check the documentation")[0].partition("Please file an issue")[0]
    return f"{type(error).__name__}: {' '.join(words.split())}"[:400]


def _load_what_loads_late() -> None:
    """Modules that a first load brings in may not be readable for the user that this process becomes."""
    for form in (True, False):
        own = io.BytesIO()
        torch.save({"a": torch.zeros(2, dtype=torch.bfloat16)}, own, _use_new_zipfile_serialization=form)
        own.seek(0)
        torch.load(own, map_location="cpu", weights_only=True)["a"].view(torch.uint8).numpy()
        try:
            torch.load(io.BytesIO(b"no checkpoint"), weights_only=True)
        except Exception as error:
            str(error).encode("ascii", "replace")


def _convert(job: dict) -> dict:
    """How much was written, and the sha256 of each tensor's bytes as they were loaded."""
    loaded = _load(job["source"])
    tensors = [(wanted, _at(loaded, wanted)) for wanted in job["tensors"]]
    header = _header([wanted for wanted, _ in tensors])
    written = _write(job["target"], len(header).to_bytes(8, "little") + header)
    digests = {}
    for wanted, tensor in tensors:
        own = hashlib.sha256()
        raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        count = 0
        for start in range(0, raw.numel(), _PIECE_BYTES):
            piece = raw[start : start + _PIECE_BYTES].numpy().data
            own.update(piece)
            count += _write(job["target"], piece)
        if count != wanted["size_bytes"]:
            raise ValueError(f"{wanted['name']}: {count} bytes")
        written += count
        digests[wanted["name"]] = own.hexdigest()
    return {"written": written, "digests": digests}


def _load(source: int) -> object:
    """By memory map where this user may open the file by name, else by its open number."""
    try:
        return torch.load(f"/proc/self/fd/{source}", map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, OSError):
        with os.fdopen(source, "rb", closefd=False) as file:
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)


def _at(loaded: object, wanted: dict) -> torch.Tensor:
    """The tensor at its path, when it is what the scan saw."""
    for key in wanted["path"]:
        loaded = loaded[key]  # type: ignore[index]
    if not isinstance(loaded, torch.Tensor) or loaded.layout != torch.strided or loaded.is_quantized:
        raise TypeError(f"{wanted['name']}: {type(loaded).__name__}")
    found = [_NAMES.get(loaded.dtype), list(loaded.shape)]
    if found != [wanted["dtype"], wanted["shape"]]:
        raise ValueError(f"{wanted['name']}: {found}")
    return loaded


def _header(wanted: list[dict]) -> bytes:
    table: dict = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in wanted:
        start, end = end, end + tensor["size_bytes"]
        entry = {"dtype": tensor["dtype"], "shape": tensor["shape"], "data_offsets": [start, end]}
        table[tensor["name"]] = entry
    content = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    return content + b" " * (-len(content) % 8)


def _write(target: int, content: bytes | memoryview) -> int:
    view = memoryview(content)
    done = 0
    while done < len(view):
        done += os.write(target, view[done:])
    return done


if __name__ == "__main__":
    sys.exit(main())
