"""Files are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.kernel.errors import BadJson, DiskFull, MissingFile, NotReadable, NotText, NotWritable
from mozhu.kernel.files import (
    finite,
    folder_bytes,
    free_bytes,
    human_size,
    make_folder,
    read_json,
    read_jsonl,
    read_text,
    replacing,
    replacing_folder,
    sha256_file,
    sha256_json,
    synced_together,
    write_bytes,
    write_json,
    write_jsonl,
    write_text,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
WRITERS: dict[str, Callable[[Path, str], object]] = {
    "bytes": lambda path, content: write_bytes(path, content.encode()),
    "text": write_text,
    "json": write_json,
    "jsonl": lambda path, content: write_jsonl(path, [content]),
}


class Interrupted(BaseException):
    """Ctrl-C, in a test."""


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- whole or absent
def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    versions = [{"n": number, "filling": "x" * (200_000 * (1 + number % 2))} for number in range(2)]
    write_json(path, versions[0])
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            write_json(path, versions[number % 2])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [read_json(path) for _ in range(100)]
    finally:
        stop.set()
        writer.join()
    assert all(value in versions for value in seen)
    assert left(tmp_path) == ["facts.json"]


@pytest.mark.parametrize("failure", [ValueError("planted"), Interrupted()], ids=["error", "ctrl-c"])
def test_a_failing_write_leaves_the_old_file(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(failure)), replacing(path) as file:
        file.write(b"new and unfinished")
        assert path.read_bytes() == b"old"
        raise failure
    assert path.read_bytes() == b"old" and left(tmp_path) == ["model.bin"]


def test_rows_that_fail_in_the_middle_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    assert write_jsonl(path, [{"a": 1}]) == 1

    def rows() -> Iterator[Any]:
        yield {"a": 2}
        yield object()

    with pytest.raises(TypeError):
        write_jsonl(path, rows())
    assert list(read_jsonl(path)) == [{"a": 1}] and left(tmp_path) == ["rows.jsonl"]


@pytest.mark.parametrize("failure", [ValueError("planted"), Interrupted()], ids=["error", "ctrl-c"])
def test_a_failing_folder_leaves_the_old_one(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "model"
    write_text(target / "weights", "old")
    with pytest.raises(type(failure)), replacing_folder(target) as new:
        write_text(new / "weights", "new")
        write_text(new / "more", "new")
        raise failure
    assert read_text(target / "weights") == "old" and left(target) == ["weights"]
    assert left(tmp_path) == ["model"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    for content in ("first", "second"):
        with replacing_folder(target) as new:
            assert left(new) == []
            write_text(new / content, content)
        assert left(target) == [content]
    assert left(target.parent) == ["model"]


def test_written_files_have_the_rights_that_the_umask_asks_for(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "facts", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "facts").stat().st_mode & 0o777 == 0o640


def test_parents_are_made(tmp_path: Path) -> None:
    write_json(tmp_path / "a/b/c.json", 1)
    with replacing(tmp_path / "d/e") as file:
        file.write(b"x")
    assert read_json(tmp_path / "a/b/c.json") == 1 and (tmp_path / "d/e").read_bytes() == b"x"


# ---------------------------------------------------------------- places that cannot be written
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place", ["below a file", "read-only system", "a folder"])
def test_a_place_that_cannot_be_written_is_named(name: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/mine").touch()
    path = {
        "below a file": tmp_path / "file/facts.json",
        "read-only system": Path("/proc/mozhu/facts.json"),
        "a folder": tmp_path / "folder",
    }[place]
    with pytest.raises(NotWritable) as caught:
        WRITERS[name](path, "new")
    assert str(caught.value.params["path"]).startswith(str(path.parent if place != "a folder" else path))
    assert caught.value.exit_code == 4 and caught.value.params["reason"]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
    assert left(tmp_path) == ["file", "folder"] and left(tmp_path / "folder") == ["mine"]


def test_a_folder_without_rights_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere; the other places are tried above")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(NotWritable):
            write_text(tmp_path / "facts", "x")
        with pytest.raises(NotWritable):
            make_folder(tmp_path / "more")
    finally:
        tmp_path.chmod(0o755)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here (needs root)")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_and_the_old_file_stays(name: str, small_disk: Path) -> None:
    path = small_disk / "facts"
    WRITERS[name](path, "old")
    old = path.read_bytes()
    with pytest.raises(DiskFull) as caught:
        WRITERS[name](path, "x" * 200_000)
    assert caught.value.params["path"] == str(path) and caught.value.exit_code == 4
    assert path.read_bytes() == old and left(small_disk) == ["facts"]


def test_a_folder_that_does_not_fit_leaves_the_old_one(small_disk: Path) -> None:
    write_text(small_disk / "model/weights", "old")
    with pytest.raises(DiskFull), replacing_folder(small_disk / "model") as new:
        for number in range(40):
            write_bytes(new / f"{number}", b"x" * 4096)
    assert read_text(small_disk / "model/weights") == "old" and left(small_disk) == ["model"]


def test_the_device_that_is_always_full_says_so() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    from mozhu.kernel.files import writing

    with pytest.raises(DiskFull), writing("/dev/full"), open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")


# ---------------------------------------------------------------- reading
def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    for read in (read_text, read_json, sha256_file, lambda path: list(read_jsonl(path))):
        with pytest.raises(MissingFile) as missing:
            read(tmp_path / "nothing")
        assert missing.value.params["path"] == str(tmp_path / "nothing")
        with pytest.raises(NotReadable):
            read(tmp_path)


def test_wrong_json_is_told_with_its_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{\n  "a": 1,\n  "b" 2\n}', encoding="utf-8")
    with pytest.raises(BadJson) as caught:
        read_json(tmp_path / "a.json")
    assert (caught.value.params["line"], caught.value.params["column"]) == (3, 7)
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": }\n', encoding="utf-8")
    with pytest.raises(BadJson) as caught:
        list(read_jsonl(tmp_path / "a.jsonl"))
    assert caught.value.params["line"] == 2


def test_text_that_is_not_utf8_is_a_catalogued_error(tmp_path: Path) -> None:
    (tmp_path / "gbk.json").write_bytes('{"a": 1,\n"名": "值"}'.encode("gbk"))
    for read in (read_text, read_json):
        with pytest.raises(NotText) as caught:
            read(tmp_path / "gbk.json")
        assert caught.value.params["line"] == 2 and caught.value.exit_code == 3


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"n": number, "文": "行"} for number in range(3)]
    write_jsonl(path, rows)
    whole = path.read_bytes()
    for cut in range(1, len(whole) // 3):
        path.write_bytes(whole[:-cut])
        assert list(read_jsonl(path)) == rows[:2]


# ---------------------------------------------------------------- values
@settings(max_examples=40, deadline=None)
@given(value=JSON)
def test_json_is_given_back_unchanged(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value and path.read_bytes().endswith(b"\n")


def test_numbers_that_json_cannot_hold_become_strings(tmp_path: Path) -> None:
    value = {"a": [math.nan, {"b": (math.inf, -math.inf)}], "c": 1.5, "d": 3}
    assert finite(value) == {"a": ["nan", {"b": ["inf", "-inf"]}], "c": 1.5, "d": 3}
    write_json(tmp_path / "a.json", value)
    assert "NaN" not in (tmp_path / "a.json").read_text(encoding="utf-8")


@settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=5000))
def test_hashes_are_those_of_the_content(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "content"
    write_bytes(path, content)
    assert sha256_file(path) == f"sha256:{hashlib.sha256(content).hexdigest()}"


@settings(max_examples=40, deadline=None)
@given(value=st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_hash_of_json_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    other = dict(reversed(list(value.items())))
    assert sha256_json(value) == sha256_json(other)
    assert sha256_json(json.loads(json.dumps(value))) == sha256_json(value)
    assert sha256_json({**value, "and": None}) != sha256_json(value)


def test_sizes(tmp_path: Path) -> None:
    sizes = {0: "0B", 1023: "1023B", 1024: "1.0KB", 15.2 * 2**30: "15.2GB", 3 * 2**40: "3.0TB"}
    assert {size: human_size(size) for size in sizes} == sizes
    write_bytes(tmp_path / "a/b", b"12345")
    write_bytes(tmp_path / "c", b"123")
    assert folder_bytes(tmp_path) == 8
    assert free_bytes(tmp_path / "not/there/yet") > 0


def test_files_written_together_are_all_on_disk_at_the_end(tmp_path, monkeypatch):
    """Each is synced once, when the block ends; one by one outside of it."""
    synced = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino) or sync(handle))
    with synced_together():
        for number in range(3):
            write_json(tmp_path / f"{number}.json", {"number": number})
        assert synced == []
    assert sorted(synced) == sorted((tmp_path / f"{number}.json").stat().st_ino for number in range(3))
    write_json(tmp_path / "alone.json", {})
    assert len(synced) == 4
