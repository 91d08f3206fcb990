"""What a file is, by its first bytes; its name is only asked where bytes do not say."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path, PurePath
from typing import Literal

from mozhu.engine.intake import tars, zips
from mozhu.kernel import gguf
from mozhu.kernel.files import reading

Kind = Literal[
    "safetensors", "gguf", "torch", "pickle", "zip", "tar", "tar.gz", "torch tar", "npy", "hdf5", "archive", "polyglot",
    "json", "text", "code", "data", "other",
]  # fmt: skip
ARCHIVES = ("zip", "tar", "tar.gz")
_OTHER_ARCHIVES = (
    b"7z\xbc\xaf",
    b"Rar!",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"PK\x05\x06",
    b"PK\x07\x08",
)
_PICKLE_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib")
_TEXT_ENDINGS = (
    ".md",
    ".txt",
    ".jinja",
    ".jsonl",
    ".yaml",
    ".yml",
    ".csv",
    ".tiktoken",
    ".log",
    ".cfg",
    ".gitattributes",
)
_TEXT_NAMES = (
    "LICENSE",
    "LICENCE",
    "NOTICE",
    "README",
    "Modelfile",
    ".gitattributes",
    ".gitignore",
    "COPYING",
)
_DATA_ENDINGS = (".model", ".spm", ".png", ".jpg", ".jpeg", ".gif", ".svg")
_CODE_ENDINGS = (
    *(
        ".py",
        ".pyc",
        ".pyo",
        ".pyd",
        ".so",
        ".dll",
        ".dylib",
        ".sh",
        ".bat",
        ".cmd",
        ".ps1",
        ".exe",
        ".js",
        ".jar",
    ),
    *(".ipynb", ".c", ".cpp", ".cu", ".rb", ".pl", ".php", ".whl", ".egg"),
)
_HEAD_BYTES = 512


def kind_of(path: Path) -> Kind:
    """The kind of ``path``; a file that is two things at once is ``polyglot``."""
    with reading(path), open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
        size = file.seek(0, 2)
    if head.startswith(zips.MAGIC):
        return _zip_kind(path)
    if head.startswith(gguf.MAGIC):
        return "gguf"
    if head[:2] == b"\x1f\x8b":
        return "tar.gz" if _packs_tar(path) else "archive"
    if tars.looks_like_tar(head):
        return (
            "torch tar"
            if head[:100].split(b"\0")[0] in (b"sys_info", b"pickle", b"storages", b"tensors")
            else "tar"
        )
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"\x89HDF"):
        return "hdf5"
    if head.startswith(_OTHER_ARCHIVES):
        return "archive"
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size - 8:
        return "safetensors"
    if _ends_as_zip(path):
        return "polyglot"
    if _is_pickle(head) or path.suffix.lower() in _PICKLE_ENDINGS:
        return "pickle"
    if path.suffix == ".safetensors":
        return "safetensors"
    return _by_name(path.name, head)


def _zip_kind(path: Path) -> Kind:
    """A zip with a ``data.pkl`` is torch's, however it is called; what else it holds is judged later."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.split("/") for name in archive.namelist()[:100_000]]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return "torch" if path.suffix.lower() in _PICKLE_ENDINGS else "zip"
    return "torch" if any(parts[-1] == "data.pkl" and len(parts) <= 2 for parts in names) else "zip"


def _ends_as_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except (ValueError, OSError):
        return True


def _packs_tar(path: Path) -> bool:
    try:
        with gzip.open(path) as file:
            return tars.looks_like_tar(file.read(tars.BLOCK))
    except (OSError, EOFError, zlib.error):
        return path.name.endswith((".tar.gz", ".tgz"))


def _is_pickle(head: bytes) -> bool:
    """Protocol 2 and later begin with their number; of older ones a call or a name on the first lines."""
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        return True
    return head[:1] in (b"c", b"(", b"}", b"]", b"i") and b"\n" in head and _names_something(head)


def _names_something(head: bytes) -> bool:
    """``cmodule\\nname\\n``: what protocol 0 writes for a global."""
    for mark in (b"c", b"(c", b"(i", b"i"):
        if head.startswith(mark):
            lines = head[len(mark) :].split(b"\n", 2)
            if len(lines) > 2 and all(_is_word(line) for line in lines[:2]):
                return True
    return head.startswith((b"(dp", b"(lp", b"}q", b"]q"))


def _is_word(line: bytes) -> bool:
    return bool(line) and line.replace(b".", b"").replace(b"_", b"").isalnum()


def _by_name(name: str, head: bytes) -> Kind:
    suffix = PurePath(name).suffix.lower()
    if suffix in _CODE_ENDINGS or head[:4] in (b"\x7fELF", b"MZ\x90\0") or head.startswith(b"#!"):
        return "code"
    if suffix == ".json":
        return "json"
    if suffix in _TEXT_ENDINGS or name.split(".")[0] in _TEXT_NAMES:
        return "text"
    return "data" if suffix in _DATA_ENDINGS else "other"
