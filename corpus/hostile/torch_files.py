"""Files in the forms of ``torch.save`` that are not what they say."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Iterator

from corpus.hostile.payload import COMMAND, Hostile, called, named, pickle, words

_MAGIC = pickle(b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little"))
_VERSION = pickle(b"M\xe9\x03")


def torch_files() -> Iterator[Hostile]:
    run = pickle(called(named("os", "system"), words(COMMAND)))
    good = {"data.pkl": _state(), "data/0": bytes(16), "version": b"3\n"}
    for name, entries, code in (
        ("data.pkl runs a command", {**good, "data.pkl": run}, "SAFE-101"),
        (
            "TorchScript",
            {**good, "code/__torch__.py": b"def forward(self): pass", "constants.pkl": run},
            "SAFE-106",
        ),
        (
            "torch.package",
            {**good, ".data/extern_modules": b"os", "model/__init__.py": b"import os"},
            "SAFE-106",
        ),
        ("an extra pickle", {**good, "extra.pkl": run}, "SAFE-110"),
        ("storage missing", {"data.pkl": _state(), "version": b"3\n"}, "SAFE-109"),
        ("storage too small", {**good, "data/0": bytes(8)}, "SAFE-109"),
        ("tensor outside its storage", {**good, "data.pkl": _state(shape=4000)}, "SAFE-109"),
        ("tensor before its storage", {**good, "data.pkl": _state(offset=b"J\xf0\xff\xff\xff")}, "SAFE-109"),
        ("steps out of its storage", {**good, "data.pkl": _state(stride=1 << 30)}, "SAFE-109"),
        ("stretched to a terabyte", {**good, "data.pkl": _state(shape=1 << 30, stride=0)}, "SAFE-109"),
        ("one storage, two sizes", {**good, "data.pkl": _two_sizes()}, "SAFE-109"),
        ("no tensors", {**good, "data.pkl": pickle(b"}")}, "SAFE-108"),
        ("bytes behind the pickle", {**good, "data.pkl": _state() + run}, "SAFE-105"),
    ):
        yield Hostile(name, "model.pt", _zip(entries), (code,))
    yield Hostile("two data.pkl", "model.pt", _zip(good, twice=("data.pkl", run)), ("SAFE-112",))
    yield Hostile("DATA.PKL beside data.pkl", "model.pt", _zip(good, twice=("DATA.PKL", run)), ("SAFE-112",))
    yield Hostile("packed entries", "model.pt", _zip(good, zipfile.ZIP_DEFLATED), ("SAFE-117",))
    yield Hostile("another name in its own header", "model.pt", _other_name(_zip(good)), ("SAFE-118",))
    yield Hostile("a pickle before a zip", "model.pt", run + _zip(good), ("SAFE-118",))
    yield Hostile(
        "a whole zip behind the zip", "model.pt", _zip(good) + _zip({**good, "data.pkl": run}), ("SAFE-118",)
    )
    yield Hostile("torch's zip cut short", "model.pt", _zip(good)[:-30], ("SAFE-119",))
    yield Hostile("called safetensors", "model.safetensors", _zip({**good, "data.pkl": run}), ("SAFE-101",))
    for name, content, code in (
        ("runs in the state", _legacy(run), "SAFE-101"),
        ("runs in the system's part", _legacy(_state(), system=run), "SAFE-101"),
        ("storage says another size", _legacy(_state(), count=1 << 40), "SAFE-109"),
        ("storage cut short", _legacy(_state())[:-4], "SAFE-109"),
        ("bytes behind the storages", _legacy(_state()) + run, "SAFE-105"),
        ("wrong version", _MAGIC + pickle(b"K\x01") + pickle(b"}") + _state() + pickle(b"]"), "SAFE-103"),
    ):
        yield Hostile(f"old form: {name}", "model.pth", content, (code,))
    yield Hostile("oldest form", "model.pth", _old_tar(run), ("SAFE-108",))
    yield Hostile("NumPy objects", "weights.npy", _npy("|O", run), ("SAFE-107",))
    yield Hostile("NumPy archive", "weights.npz", _zip({"arr_0.npy": _npy("|O", run)}), ("SAFE-107",))
    yield Hostile("HDF5", "model.h5", b"\x89HDF\r\n\x1a\n" + bytes(512), ("SAFE-108",))
    yield Hostile("7z", "model.7z", b"7z\xbc\xaf\x27\x1c" + bytes(64), ("SAFE-108",))


def _state(*, shape: int = 4, stride: int = 1, offset: bytes = b"K\x00", count: int = 4) -> bytes:
    """``{"w": tensor of four floats in storage 0}`` as torch writes it."""
    return pickle(b"}" + words("w") + _tensor(shape, stride, offset, count) + b"s")


def _tensor(shape: int, stride: int, offset: bytes, count: int) -> bytes:
    kind = named("torch", "FloatStorage")
    storage = b"(" + words("storage") + kind + words("0") + words("cpu") + _int(count) + b"tQ"
    hooks = called(named("collections", "OrderedDict"))
    sides = _int(shape) + b"\x85" + _int(stride) + b"\x85"
    return called(named("torch._utils", "_rebuild_tensor_v2"), storage, offset, sides, b"\x89", hooks)


def _two_sizes() -> bytes:
    first, second = _tensor(4, 1, b"K\x00", 4), _tensor(4, 1, b"K\x00", 4_000_000)
    return pickle(b"}" + words("a") + first + b"s" + words("b") + second + b"s")


def _int(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def _zip(
    entries: dict[str, bytes], method: int = zipfile.ZIP_STORED, twice: tuple[str, bytes] | None = None
) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in [*entries.items(), *([twice] if twice else [])]:
            info = zipfile.ZipInfo(f"archive/{name}" if "npy" not in name else name)
            info.compress_type = method
            archive.writestr(info, data)
    return content.getvalue()


def _other_name(content: bytes) -> bytes:
    """The first entry's own header calls it otherwise than the directory does."""
    return content.replace(b"archive/data.pkl", b"archive/evil.pkl", 1)


def _legacy(state: bytes, *, system: bytes | None = None, count: int = 4) -> bytes:
    keys = pickle(b"]" + words("0") + b"a")
    return _MAGIC + _VERSION + (system or pickle(b"}")) + state + keys + struct.pack("<q", count) + bytes(16)


def _old_tar(run: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = len(run)
            archive.addfile(info, io.BytesIO(run))
    return content.getvalue()


def _npy(kind: str, data: bytes) -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (1,), }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + data
