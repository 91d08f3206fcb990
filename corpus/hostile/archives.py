"""Archives that lead out of their folder, grow without end, or show different readers different files."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator

from corpus.hostile.payload import COMMAND, Hostile, called, named, pickle, words

_CONFIG = b'{"model_type": "llama"}'


def archives() -> Iterator[Hostile]:
    yield from _zip_names()
    yield from _zip_forms()
    yield from _tars()
    yield from _disguised()


def _zip_names() -> Iterator[Hostile]:
    for title, name, code in (
        ("leads out by ..", "../../etc/cron.d/x", "SAFE-111"),
        ("leads out in the middle", "model/../../x", "SAFE-111"),
        ("absolute name", "/etc/passwd", "SAFE-111"),
        ("drive letter", "C:/Windows/x", "SAFE-111"),
        ("backslash", "..\\..\\x", "SAFE-111"),
        ("control character", "model\x1b[2J.json", "SAFE-111"),
        ("turned writing direction", "model\u202enosj.json", "SAFE-111"),
        ("not NFC", "e\u0301.json", "SAFE-111"),
        ("device of Windows", "aux.json", "SAFE-111"),
        ("trailing dot", "config.json.", "SAFE-111"),
        ("forty folders deep", "/".join(["a"] * 40), "SAFE-111"),
    ):
        yield Hostile(f"zip: {title}", "upload.zip", _zip([(name, b"x")]), (code,))
    yield Hostile(
        "zip: one name twice", "upload.zip", _zip([("a.json", b"1"), ("a.json", b"2")]), ("SAFE-112",)
    )
    yield Hostile(
        "zip: names equal but for case",
        "upload.zip",
        _zip([("a.json", b"1"), ("A.JSON", b"2")]),
        ("SAFE-112",),
    )
    yield Hostile(
        "zip: a file where a folder is", "upload.zip", _zip([("a", b"1"), ("a/b", b"2")]), ("SAFE-112",)
    )
    yield Hostile(
        "zip: a link", "upload.zip", _zip([("link", b"/etc/passwd")], mode=stat.S_IFLNK), ("SAFE-113",)
    )
    yield Hostile("zip: a device", "upload.zip", _zip([("dev", b"")], mode=stat.S_IFCHR), ("SAFE-113",))


def _zip_forms() -> Iterator[Hostile]:
    bomb = _zip([("bomb.json", bytes(32 << 20))], zipfile.ZIP_DEFLATED)
    yield Hostile("zip: bomb", "upload.zip", bomb, ("SAFE-116",))
    many = _zip([(f"{number}.json", b"") for number in range(10_500)])
    yield Hostile("zip: ten thousand files", "upload.zip", many, ("SAFE-114",))
    claimed = bytearray(_zip([("a.json", bytes(64))], zipfile.ZIP_DEFLATED))
    place = claimed.rfind(b"PK\x01\x02")
    claimed[place + 24 : place + 28] = struct.pack("<I", 65)
    yield Hostile("zip: two sizes of one file", "upload.zip", bytes(claimed), ("SAFE-118",))
    plain = _zip([("a.json", _CONFIG), ("b.json", _CONFIG)])
    yield Hostile("zip: overlapping files", "upload.zip", _overlapping(plain), ("SAFE-118",))
    yield Hostile("zip: bytes before it", "upload.zip", b"MZ\x90\0" + bytes(60) + plain, ("SAFE-118",))
    yield Hostile("zip: cut short", "upload.zip", plain[: len(plain) // 2], ("SAFE-119",))
    yield Hostile("zip: damaged", "upload.zip", plain.replace(_CONFIG, b"#" * len(_CONFIG), 1), ("SAFE-119",))
    locked = bytearray(plain)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.find(mark) + place] |= 1
    yield Hostile("zip: encrypted", "upload.zip", bytes(locked), ("SAFE-117",))
    yield Hostile("zip in a zip", "upload.zip", _zip([("inner.zip", plain)]), ("SAFE-120",))
    yield Hostile("zip: comment with a second end", "upload.zip", _commented(plain), ("SAFE-118", "SAFE-119"))


def _tars() -> Iterator[Hostile]:
    for title, info, code in (
        ("leads out by ..", _member("../../x"), "SAFE-111"),
        ("absolute name", _member("/etc/passwd"), "SAFE-111"),
        ("link out", _member("link", kind=tarfile.SYMTYPE, target="/etc"), "SAFE-113"),
        ("hard link", _member("link", kind=tarfile.LNKTYPE, target="../../x"), "SAFE-113"),
        ("device", _member("null", kind=tarfile.CHRTYPE), "SAFE-113"),
        ("pipe", _member("pipe", kind=tarfile.FIFOTYPE), "SAFE-113"),
        ("long name that leads out", _member("a/" * 60 + "../" * 70 + "x"), "SAFE-111"),
    ):
        yield Hostile(f"tar: {title}", "upload.tar", _tar([info]), (code,))
    twice = [_member("a.json"), _member("A.json")]
    yield Hostile("tar: names equal but for case", "upload.tar", _tar(twice), ("SAFE-112",))
    long = _tar([_member("model/config.json", size=5000)])
    yield Hostile("tar: cut short", "upload.tar", long[:2000], ("SAFE-119",))
    wrong = bytearray(long)
    wrong[0] ^= 1
    yield Hostile("tar: second header damaged", "upload.tar", long[:5632] + bytes(wrong), ("SAFE-119",))
    lying = bytearray(long)
    lying[124:136] = b"77777777777\0"
    yield Hostile("tar: size of eight gigabytes", "upload.tar", _summed(lying), ("SAFE-119",))
    zeros = _tar([_member("zeros.json", size=64 << 20)])
    yield Hostile("tar.gz: bomb", "upload.tar.gz", gzip.compress(zeros, 9, mtime=0), ("SAFE-116",))
    whole = gzip.compress(long, mtime=0)
    yield Hostile("tar.gz: cut short", "upload.tar.gz", whole[: len(whole) // 2], ("SAFE-119",))
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[156:157], header[124:136] = b"x", b"00010000000\0"
    yield Hostile(
        "tar: extended header of two megabytes", "upload.tar", _summed(header) + bytes(2 << 20), ("SAFE-119",)
    )


def _disguised() -> Iterator[Hostile]:
    run = pickle(called(named("os", "system"), words(COMMAND)))
    for name, code in (
        ("config.json", "SAFE-101"),
        ("tokenizer.model", "SAFE-101"),
        ("model.safetensors", "SAFE-101"),
        ("README.md", "SAFE-101"),
        ("pytorch_model.bin", "SAFE-101"),
    ):
        yield Hostile(f"zip: a pickle called {name}", "upload.zip", _zip([(f"m/{name}", run)]), (code,))
    outside = b'{"weight_map": {"w": "../../secret.safetensors"}}'
    index = _zip([("model.safetensors.index.json", outside)])
    yield Hostile("zip: an index that leads out", "upload.zip", index, ("SAFE-138",))
    doubled = _zip([("config.json", b'{"a": 1, "a": 2}')])
    yield Hostile("zip: a key that comes twice", "upload.zip", doubled, ("SAFE-137",))
    yield Hostile("zip: no model", "upload.zip", _zip([("readme.txt", b"hello")]), ("SAFE-135",))


def _zip(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED, mode: int = stat.S_IFREG) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files:
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.compress_type, info.external_attr = method, (mode | 0o644) << 16
            archive.writestr(info, data)
    return content.getvalue()


def _overlapping(content: bytes) -> bytes:
    """Both entries of the directory point to the first file."""
    second = content.rfind(b"PK\x01\x02")
    return content[: second + 42] + struct.pack("<I", 0) + content[second + 46 :]


def _commented(content: bytes) -> bytes:
    comment = content[content.rfind(b"PK\x05\x06") :]
    return content[:-2] + struct.pack("<H", len(comment)) + comment


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def _tar(members: list[tarfile.TarInfo]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info in members:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return content.getvalue()


def _summed(block: bytearray) -> bytes:
    """The block with the checksum of its changed header."""
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block[:512]):06o}\0 ".encode()
    return bytes(block)
