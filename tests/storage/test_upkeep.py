"""Garbage is collected and never more than garbage; a check of the store finds every planted fault."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.database.engine import Database, open_database
from mozhu.platform.storage import rows
from mozhu.platform.storage.blobs import BlobStore
from mozhu.platform.storage.fsck import check_store
from mozhu.platform.storage.gc import collect
from mozhu.platform.storage.held import Held
from mozhu.platform.storage.local import LocalBlobs
from mozhu.testing.memory_blobs import MemoryBlobs

HOUR = 3600.0


def digest(content: bytes) -> str:
    import hashlib

    return "sha256:" + hashlib.sha256(content).hexdigest()


class Shelf:
    """A store, its rows, and a list of who needs what."""

    def __init__(self, database: Database, store: BlobStore) -> None:
        self.database, self.store = database, store
        self.held: dict[str, Held] = {}

    def add(self, content: bytes, holder: str = "", *, recorded: bool = True) -> str:
        name = digest(content)
        self.store.put(name, iter([content]), len(content))
        if recorded:
            with self.database.writing() as session:
                rows.record_blob(session, name, len(content), iso_time(utc_now()))
        if holder:
            self.held[name] = Held(name, len(content), holder)
        return name

    def holders(self, session: object) -> Iterator[Held]:
        yield from list(self.held.values())

    def collect(self, **more):  # type: ignore[no-untyped-def]
        given = {"grace_s": 0.0, "now": _now() + 10, **more}
        return collect(self.database, self.store, self.holders, **given)

    def check(self, **more):  # type: ignore[no-untyped-def]
        given = {"grace_s": 0.0, "now": _now() + 10, **more}
        return check_store(self.database, self.store, self.holders, **given)

    def names(self) -> set[str]:
        return {blob.digest for blob in self.store.list()}

    def recorded(self) -> set[str]:
        with self.database.reading() as session:
            return {row.sha256 for row in rows.blobs(session)}


def _now() -> float:
    return utc_now().timestamp()


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    database = open_database(tmp_path / "catalog.db")
    yield Shelf(database, LocalBlobs(tmp_path / "blobs"))
    database.close()


def test_what_nobody_needs_goes_and_its_bytes_come_back(shelf: Shelf) -> None:
    kept, gone = shelf.add(b"kept" * 1000, "model:v1"), shelf.add(b"gone" * 1000)
    done = shelf.collect()
    assert (done.blobs, done.returned_bytes) == (1, 4000)
    assert shelf.names() == shelf.recorded() == {kept} and gone != kept


def test_a_linked_file_keeps_its_bytes_and_that_is_said(shelf: Shelf, tmp_path: Path) -> None:
    name = shelf.add(b"linked" * 100)
    os.link(shelf.store.path_of(name), tmp_path / "elsewhere")  # type: ignore[attr-defined]
    done = shelf.collect()
    assert (done.blobs, done.returned_bytes) == (1, 0)
    assert (tmp_path / "elsewhere").read_bytes() == b"linked" * 100


def test_what_has_just_come_stays(shelf: Shelf) -> None:
    name = shelf.add(b"coming in")
    done = shelf.collect(grace_s=HOUR, now=_now() + 60)
    assert (done.blobs, done.kept_young) == (0, 1) and shelf.names() == {name}
    assert shelf.collect(grace_s=HOUR, now=_now() + 2 * HOUR).blobs == 1


def test_a_dry_run_takes_nothing(shelf: Shelf) -> None:
    name = shelf.add(b"nobody's")
    assert shelf.collect(keep=True).blobs == 1 and shelf.names() == shelf.recorded() == {name}


def test_a_holder_that_comes_while_garbage_is_collected_is_heard(shelf: Shelf) -> None:
    """The last look is taken with everyone else waiting."""
    name, asked = shelf.add(b"needed again"), []

    def holders(session: object) -> Iterator[Held]:
        asked.append(1)
        if len(asked) > 1:
            yield Held(name, None, "upload")

    done = collect(shelf.database, shelf.store, holders, grace_s=0.0, now=_now() + 10)
    assert done.blobs == 0 and shelf.names() == {name}


def test_uploads_and_collections_at_once_leave_no_row_without_its_content(shelf: Shelf) -> None:
    """Each writer puts, then records only what is there, as an upload does; a collector runs all the time."""
    stop = threading.Event()

    def collecting() -> None:
        while not stop.is_set():
            shelf.collect()

    def sending(number: int) -> None:
        for turn in range(15):
            content = f"{number} {turn % 3}".encode()
            while True:
                shelf.store.put(digest(content), iter([content]), len(content))
                with shelf.database.writing() as session:
                    if shelf.store.stat(digest(content)) is None:
                        continue
                    rows.record_blob(session, digest(content), len(content), iso_time(utc_now()))
                    shelf.held[digest(content)] = Held(digest(content), len(content), "x")
                break

    collector = threading.Thread(target=collecting)
    collector.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(sending, range(3)))
    finally:
        stop.set()
        collector.join()
    assert shelf.recorded() == shelf.names() == set(shelf.held)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "hold", "release", "collect"]), st.integers(0, 5)), max_size=40
    )
)
def test_any_operations_leave_what_a_model_would(operations: list[tuple[str, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        database = open_database(Path(folder) / "catalog.db")
        shelf, model, held = Shelf(database, MemoryBlobs()), set(), set()
        for what, number in operations:
            content = f"content {number}".encode()
            if what == "add":
                model.add(shelf.add(content))
            elif what == "hold" and digest(content) in model:
                shelf.held[digest(content)] = Held(digest(content), len(content), "m:v1")
                held.add(digest(content))
            elif what == "release":
                shelf.held.pop(digest(content), None)
                held.discard(digest(content))
            elif what == "collect":
                shelf.collect()
                model &= held
        assert shelf.names() == shelf.recorded() == model
        database.close()


# ---------------------------------------------------------------- the check
def plant(shelf: Shelf, tmp_path: Path) -> dict[str, str]:
    """One fault of every kind; code -> digest."""
    store = shelf.store
    assert isinstance(store, LocalBlobs)
    planted = {
        "damaged": shelf.add(b"a" * 5000, "m:v1"),
        "missing": shelf.add(b"b" * 5000, "m:v2"),
        "orphan": shelf.add(b"c" * 5000),
        "size": shelf.add(b"d" * 5000, "m:v3"),
        "row": shelf.add(b"e" * 5000),
        "unrecorded": shelf.add(b"f" * 5000, "m:v4", recorded=False),
        "stranger": "sha256/ab/notes.txt",
    }
    content = bytearray(store.path_of(planted["damaged"]).read_bytes())
    content[4321] ^= 1
    store.path_of(planted["damaged"]).write_bytes(content)
    for code in ("missing", "row"):
        store.path_of(planted[code]).unlink()
    shelf.held[planted["size"]] = Held(planted["size"], 4999, "m:v3")
    (store.root / "sha256" / "ab").mkdir(exist_ok=True)
    (store.root / planted["stranger"]).write_text("hello")
    return planted


def test_every_planted_fault_is_found_and_nothing_else(shelf: Shelf, tmp_path: Path) -> None:
    sound = shelf.add(b"sound" * 1000, "m:v9")
    planted = plant(shelf, tmp_path)
    report = shelf.check()
    assert {finding.code: finding.digest for finding in report.findings} == planted
    assert len(report.findings) == len(planted) and report.exit_code == 3
    hurt = {finding.code: finding.holders for finding in report.findings}
    assert hurt["damaged"] == ("m:v1",) and hurt["missing"] == ("m:v2",)
    assert sound not in str(report.to_json()["findings"])


def test_a_sound_store_is_found_sound(shelf: Shelf) -> None:
    shelf.add(b"one", "m:v1")
    report = shelf.check()
    assert report.findings == () and report.exit_code == 0


def test_every_flipped_bit_is_found(shelf: Shelf) -> None:
    name = shelf.add(bytes(range(256)), "m:v1")
    path = shelf.store.path_of(name)  # type: ignore[attr-defined]
    content = path.read_bytes()
    for place in range(0, 256, 17):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        assert [finding.code for finding in shelf.check().findings] == ["damaged"]
    path.write_bytes(content)
    assert shelf.check().findings == ()


def test_a_repair_removes_nothing_and_fetches_what_a_version_still_has(shelf: Shelf, tmp_path: Path) -> None:
    planted = plant(shelf, tmp_path)
    for code, holder in (("damaged", "m:v1"), ("missing", "m:v2")):
        copy = tmp_path / f"{code}.safetensors"
        copy.write_bytes((b"a" if code == "damaged" else b"b") * 5000)
        shelf.held[planted[code]] = Held(planted[code], 5000, holder, copy)
    del shelf.held[planted["size"]]
    orphan = b"".join(shelf.store.open(planted["orphan"]))
    report = shelf.check(repair=True)
    assert {finding.code for finding in report.open_findings} == {"stranger"}
    quarantined = [path.read_bytes() for path in (tmp_path / "blobs" / "quarantine").iterdir()]
    assert orphan in quarantined and len(quarantined) == 3
    assert {finding.code for finding in shelf.check().findings} == {"stranger"}
    assert b"".join(shelf.store.open(planted["damaged"])) == b"a" * 5000


def test_progress_is_told_in_bytes(shelf: Shelf) -> None:
    told: list[tuple[int, int]] = []
    for number in range(4):
        shelf.add(bytes(1000 + number), "m:v1")
    shelf.check(on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (4006, 4006) and len(told) == 4
