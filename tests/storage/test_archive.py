"""A version as a zip: any reader opens it, its size is known before, and equal files give equal bytes."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mozhu.kernel.errors import BadRange, BlobDamaged, BlobMissing
from mozhu.platform.storage.archive import Archive, archive_of
from mozhu.platform.storage.zipped import ZipEntry, zip_size, zip_stream
from mozhu.specs.records.manifest import ManifestFile
from mozhu.testing.memory_blobs import MemoryBlobs

FILES = {
    "config.json": b"{}",
    "model.safetensors": os.urandom(3 << 20),
    "leer.txt": b"",
    "ordner/说明 ✓.md": "医疗".encode(),
}


def archive(store: MemoryBlobs, files: dict[str, bytes]) -> Archive:
    listed = []
    for path, content in files.items():
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        store.put(digest, iter([content]), len(content))
        listed.append(ManifestFile(path=path, size=len(content), sha256=digest))
    return archive_of(store, "Llama-3-8B", "v2.1", listed)


def test_a_version_is_a_zip_that_holds_its_files() -> None:
    made = archive(MemoryBlobs(), FILES)
    content = b"".join(made.open())
    assert made.name == "Llama-3-8B/v2.1.zip" and len(content) == made.size
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == FILES


@pytest.mark.skipif(shutil.which("unzip") is None, reason="no unzip here")
def test_unzip_finds_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"".join(archive(MemoryBlobs(), FILES).open()))
    done = subprocess.run(["unzip", "-tq", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_equal_files_give_equal_bytes_in_any_order() -> None:
    first = archive(MemoryBlobs(), FILES)
    second = archive(MemoryBlobs(), dict(reversed(FILES.items())))
    assert b"".join(first.open()) == b"".join(second.open())


def test_a_download_goes_on_where_it_broke_off() -> None:
    made = archive(MemoryBlobs(), FILES)
    whole = b"".join(made.open())
    for start in (0, 1, 30, 1000, made.size // 2, made.size - 1, made.size):
        assert b"".join(made.open(start)) == whole[start:]
    assert b"".join(made.open(100, 2_000_000)) == whole[100:2_000_000]
    with pytest.raises(BadRange):
        made.open(made.size + 1)


def test_a_missing_file_breaks_the_stream_off() -> None:
    store = MemoryBlobs()
    made = archive(store, FILES)
    store.delete("sha256:" + hashlib.sha256(FILES["model.safetensors"]).hexdigest())
    with pytest.raises(BlobMissing):
        list(made.open())


def test_a_file_of_another_size_breaks_the_stream_off() -> None:
    with pytest.raises(BlobDamaged):
        list(zip_stream([ZipEntry("a", 5, lambda: [b"1234"])]))


@pytest.mark.slow
def test_files_above_four_gigabytes_make_a_zip64(tmp_path: Path) -> None:
    size, block = (4 << 30) + 7, bytes(1 << 20)

    def zeros() -> Iterator[bytes]:
        for _ in range(4096):
            yield block
        yield bytes(7)

    entries = [ZipEntry("large.bin", size, zeros), ZipEntry("after.txt", 5, lambda: [b"hello"])]
    path, count = tmp_path / "large.zip", 0
    with open(path, "wb") as file:
        for piece in zip_stream(entries):
            count += len(piece)
            if piece is block:
                file.seek(len(piece), os.SEEK_CUR)  # a hole: the disk holds next to nothing
            else:
                file.write(piece)
    assert count == zip_size(entries) == path.stat().st_size
    with zipfile.ZipFile(path) as opened:
        assert [(info.filename, info.file_size) for info in opened.infolist()] == [
            ("large.bin", size),
            ("after.txt", 5),
        ]
        assert opened.read("after.txt") == b"hello" and opened.testzip() is None


def test_many_files_make_a_zip64() -> None:
    entries = [ZipEntry(f"{number}", 0, list) for number in range(70_000)]
    content = b"".join(zip_stream(entries))
    assert len(content) == zip_size(entries)
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert len(opened.namelist()) == 70_000
