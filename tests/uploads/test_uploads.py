"""What was acknowledged is never sent again; what is registered is what was sent; nobody learns what others have."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sending import ANN, BOB, PART, Installation, digest, new, part_of, send, send_all

from mozhu.kernel.errors import (
    BadUploadFiles,
    BlobMissing,
    ContentDiffers,
    DiskFull,
    NoRoomForUpload,
    PartDamaged,
    PartsMissing,
    UnknownPart,
    UnknownUpload,
    UploadClosed,
    UploadQuota,
    UploadTooLarge,
)
from mozhu.platform.accounts.subject import LOCAL_ADMIN
from mozhu.platform.uploads.parts import FolderParts
from mozhu.platform.uploads.views import Limits
from mozhu.specs.uploads import NewFile, answer_to, part_size_for, parts_of

MODEL = {
    "config.json": b'{"model_type": "qwen2"}',
    "model.safetensors": os.urandom(2 * PART + 12_345),
    "empty.txt": b"",
    "tokenizer/中文.json": os.urandom(300_000),
}


# ---------------------------------------------------------------- the way of one upload
def test_files_that_were_sent_are_in_the_store(installation: Installation) -> None:
    view = installation.uploads.create(ANN, new(MODEL), purpose={"model": "Llama-3-8B"})
    assert view.state == "open" and view.part_count == 5 and view.missing == ((1, 5),)
    numbers = view.missing_numbers()
    random.Random(1).shuffle(numbers)
    send(installation.uploads, ANN, view, MODEL, numbers)
    done = installation.uploads.complete(ANN, view.id)
    assert done.state == "complete" and done.missing == () and done.received_bytes == done.size_bytes
    assert done.purpose == {"model": "Llama-3-8B"}
    for file in done.files:
        assert file.sha256 == digest(MODEL[file.path])
        assert b"".join(installation.store.open(file.sha256)) == MODEL[file.path]
    assert installation.files_left() == []


def test_hashes_need_not_be_known_before(installation: Installation) -> None:
    view = installation.uploads.create(ANN, new(MODEL, hashed=False))
    send(installation.uploads, ANN, view, MODEL, view.missing_numbers())
    done = installation.uploads.complete(ANN, view.id)
    assert {file.path: file.sha256 for file in done.files} == {path: digest(MODEL[path]) for path in MODEL}


def test_a_new_process_knows_what_has_come(installation: Installation) -> None:
    view = installation.uploads.create(ANN, new(MODEL))
    send(installation.uploads, ANN, view, MODEL, [2, 5])
    again = installation.service().state(ANN, view.id)
    assert (
        again.missing == ((1, 1), (3, 4)) and again.received_bytes == len(part_of(view, MODEL, 2)) + 300_000
    )
    send(installation.service(), ANN, view, MODEL, again.missing_numbers())
    assert installation.service().complete(ANN, view.id).state == "complete"


def test_parts_may_come_at_once_and_twice(installation: Installation) -> None:
    view = installation.uploads.create(ANN, new(MODEL))
    numbers = [*view.missing_numbers(), *view.missing_numbers()]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: send(installation.uploads, ANN, view, MODEL, [number]), numbers))
    assert installation.uploads.complete(ANN, view.id).state == "complete"


def test_two_completes_at_once_give_the_same(installation: Installation) -> None:
    view = installation.uploads.create(ANN, new(MODEL))
    send(installation.uploads, ANN, view, MODEL, view.missing_numbers())
    services = [installation.uploads, installation.uploads, installation.service()]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda service: service.complete(ANN, view.id), services))
    assert {item.state for item in done} == {"complete"} and done[0].files == done[1].files == done[2].files
    assert b"".join(installation.store.open(digest(MODEL["model.safetensors"]))) == MODEL["model.safetensors"]


def test_a_part_that_comes_a_second_time_while_all_is_joined_does_no_harm(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first sending was cut after the last byte, and the service takes it up as late as can be."""
    uploads, late, was_late = installation.uploads, threading.Event(), threading.Event()
    view = uploads.create(ANN, new(MODEL))
    part = part_of(view, MODEL, 2)

    def slowly() -> Iterator[bytes]:
        yield part
        was_late.set()
        late.wait(60)

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(uploads.put_part, ANN, view.id, 2, digest(part), slowly())
        assert was_late.wait(60)
        send(uploads, ANN, view, MODEL, view.missing_numbers())
        finish = uploads._parts.finish

        def once_it_came(*given: Any) -> str:
            late.set()
            second.result(60)
            return finish(*given)

        monkeypatch.setattr(uploads._parts, "finish", once_it_came)
        done = uploads.complete(ANN, view.id)
    assert done.state == "complete"
    for file in done.files:
        assert b"".join(installation.store.open(file.sha256)) == MODEL[file.path]
    assert installation.files_left() == []


def test_progress_of_reading_back_is_told(local: Installation) -> None:
    told: list[tuple[int, int]] = []
    view = local.uploads.create(ANN, new(MODEL))
    send(local.uploads, ANN, view, MODEL, view.missing_numbers())
    local.uploads.complete(ANN, view.id, on_progress=lambda done, total: told.append((done, total)))
    total = sum(map(len, MODEL.values()))
    assert told[-1] == (total, total) and [done for done, _ in told] == sorted(done for done, _ in told)


# ---------------------------------------------------------------- wrong parts
@pytest.mark.parametrize("wrong", ["flipped", "short", "long", "empty"])
def test_a_damaged_part_is_refused_and_the_others_stay(installation: Installation, wrong: str) -> None:
    view = installation.uploads.create(ANN, new(MODEL))
    send(installation.uploads, ANN, view, MODEL, [1, 2])
    part = part_of(view, MODEL, 3)
    bad = {
        "flipped": part[:-1] + bytes([part[-1] ^ 1]),
        "short": part[:-1],
        "long": part + b"x",
        "empty": b"",
    }[wrong]
    with pytest.raises(PartDamaged) as caught:
        installation.uploads.put_part(ANN, view.id, 3, digest(part), iter([bad]))
    assert caught.value.params["part"] == 3
    assert installation.uploads.state(ANN, view.id).missing == ((3, 5),)
    send(installation.uploads, ANN, view, MODEL, [3, 4, 5])
    assert installation.uploads.complete(ANN, view.id).state == "complete"


def test_a_part_that_breaks_off_leaves_nothing(installation: Installation) -> None:
    view = installation.uploads.create(ANN, new(MODEL))
    part = part_of(view, MODEL, 2)

    def broken() -> Iterator[bytes]:
        yield part[:1000]
        raise ConnectionResetError("cut")

    before = installation.files_left()
    with pytest.raises(ConnectionResetError):
        installation.uploads.put_part(ANN, view.id, 2, digest(part), broken())
    assert installation.files_left() == before
    assert 2 in installation.uploads.state(ANN, view.id).missing_numbers()


def test_a_part_sent_again_otherwise_takes_the_place_of_the_first(installation: Installation) -> None:
    wrong = {**MODEL, "model.safetensors": os.urandom(len(MODEL["model.safetensors"]))}
    view = installation.uploads.create(ANN, new(MODEL))
    send(installation.uploads, ANN, view, wrong, [2])
    send(installation.uploads, ANN, view, MODEL, view.missing_numbers())
    assert installation.uploads.complete(ANN, view.id).state == "complete"


@pytest.mark.parametrize("number", [0, -1, 6, 10**9])
def test_a_part_that_does_not_exist_is_refused(local: Installation, number: int) -> None:
    view = local.uploads.create(ANN, new(MODEL))
    with pytest.raises(UnknownPart):
        local.uploads.put_part(ANN, view.id, number, digest(b""), iter([b""]))


def test_what_is_missing_is_named(local: Installation) -> None:
    view = local.uploads.create(ANN, new(MODEL))
    send(local.uploads, ANN, view, MODEL, [3])
    with pytest.raises(PartsMissing) as caught:
        local.uploads.complete(ANN, view.id)
    assert caught.value.params["missing"] == "1-2, 4-5"


# ---------------------------------------------------------------- clients that lie
def test_a_file_that_is_not_what_was_announced_is_not_taken(installation: Installation) -> None:
    lie = {**MODEL, "model.safetensors": os.urandom(len(MODEL["model.safetensors"]))}
    view = installation.uploads.create(ANN, new(MODEL))
    send(installation.uploads, ANN, view, lie, view.missing_numbers())
    with pytest.raises(ContentDiffers) as caught:
        installation.uploads.complete(ANN, view.id)
    assert caught.value.params["path"] == "model.safetensors"
    for content in (MODEL["model.safetensors"], lie["model.safetensors"]):
        assert installation.store.stat(digest(content)) is None
    assert installation.uploads.state(ANN, view.id).state == "failed" and installation.files_left() == []


def test_a_liar_cannot_spoil_what_is_there(installation: Installation) -> None:
    send_all(installation.uploads, ANN, MODEL)
    lie = {"x.bin": os.urandom(len(MODEL["model.safetensors"]))}
    claimed = [NewFile(path="x.bin", size=len(lie["x.bin"]), sha256=digest(MODEL["model.safetensors"]))]
    view = installation.uploads.create(BOB, claimed)
    send(installation.uploads, BOB, view, lie, view.missing_numbers())
    with pytest.raises(ContentDiffers):
        installation.uploads.complete(BOB, view.id)
    kept = b"".join(installation.store.open(digest(MODEL["model.safetensors"])))
    assert kept == MODEL["model.safetensors"]


@pytest.mark.parametrize(
    "paths",
    [
        [],
        ["../x"],
        ["/etc/passwd"],
        ["a//b"],
        ["a/../../b"],
        ["C:\\x"],
        ["a\\b"],
        [".hidden"],
        ["a/.ssh/x"],
        ["a\x00b"],
        ["same", "same"],
        ["Same", "same"],
        ["a", "a/b"],
        ["./a"],
        [" "],
    ],
)
def test_names_that_could_leave_the_folder_are_refused(local: Installation, paths: list[str]) -> None:
    with pytest.raises(BadUploadFiles):
        local.uploads.create(ANN, [NewFile(path=path, size=1) for path in paths])
    assert local.uploads.list(ANN) == [] and local.files_left() == []


def test_every_bad_name_is_told_at_once(local: Installation) -> None:
    with pytest.raises(BadUploadFiles) as caught:
        local.uploads.create(ANN, [NewFile(path=path, size=1) for path in ("../a", "b", "/c")])
    assert caught.value.params["count"] == 2


# ---------------------------------------------------------------- known contents (秒传)
def test_what_one_may_read_is_not_sent_again(installation: Installation) -> None:
    send_all(installation.uploads, ANN, MODEL)
    installation.readable = {("bob", digest(content)) for content in MODEL.values()}
    view = installation.uploads.create(BOB, new(MODEL))
    assert view.missing == () and {file.need for file in view.files} == {"known"}
    assert all(file.challenge is None for file in view.files)
    assert installation.uploads.complete(BOB, view.id).state == "complete"


def test_ones_own_upload_is_not_sent_again(local: Installation) -> None:
    send_all(local.uploads, ANN, MODEL)
    assert local.uploads.create(ANN, new(MODEL)).missing == ()


def test_who_may_not_read_it_cannot_see_whether_it_is_here(installation: Installation) -> None:
    before = installation.uploads.create(BOB, new(MODEL))
    send_all(installation.uploads, ANN, MODEL)
    after = installation.uploads.create(BOB, new(MODEL))
    shapes = [
        [
            (file.need, file.challenge is None, file.challenge and len(file.challenge.ranges))
            for file in view.files
        ]
        for view in (before, after)
    ]
    assert shapes[0] == shapes[1] and before.missing == after.missing


def test_who_has_the_file_proves_it_and_need_not_send_it(installation: Installation) -> None:
    send_all(installation.uploads, ANN, MODEL)
    view = installation.uploads.create(BOB, new(MODEL))
    file = next(file for file in view.files if file.path == "model.safetensors")
    assert file.challenge is not None
    content = MODEL["model.safetensors"]
    proven = installation.uploads.prove(
        BOB, view.id, file.path, answer_to(file.challenge, lambda start, end: content[start:end])
    )
    assert [item.need for item in proven.files] == ["wanted", "known", "wanted", "wanted"]
    send(installation.uploads, BOB, proven, MODEL, proven.missing_numbers())
    assert installation.uploads.complete(BOB, view.id).state == "complete"


def test_a_hash_alone_gives_nobody_the_content(local: Installation) -> None:
    """One try, and it must be right; the answer to one challenge does not answer another."""
    send_all(local.uploads, ANN, MODEL)
    content = MODEL["model.safetensors"]
    first, second = local.uploads.create(BOB, new(MODEL)), local.uploads.create(BOB, new(MODEL))
    told = first.files[1].challenge
    assert told is not None
    answer = answer_to(told, lambda start, end: content[start:end])
    for tried in (answer, answer):
        assert local.uploads.prove(BOB, second.id, "model.safetensors", tried).files[1].need == "wanted"
    own = second.files[1].challenge
    assert own is not None
    right = answer_to(own, lambda start, end: content[start:end])
    assert local.uploads.prove(BOB, second.id, "model.safetensors", right).files[1].need == "wanted"


def test_a_right_answer_about_what_is_not_here_changes_nothing(local: Installation) -> None:
    view = local.uploads.create(BOB, new(MODEL))
    challenge = view.files[1].challenge
    assert challenge is not None
    content = MODEL["model.safetensors"]
    answer = answer_to(challenge, lambda start, end: content[start:end])
    assert local.uploads.prove(BOB, view.id, "model.safetensors", answer).files[1].need == "wanted"


def test_a_known_content_that_is_gone_at_the_end_is_told(local: Installation) -> None:
    send_all(local.uploads, ANN, MODEL)
    view = local.uploads.create(ANN, new(MODEL))
    local.store.delete(digest(MODEL["config.json"]))
    with pytest.raises(BlobMissing):
        local.uploads.complete(ANN, view.id)
    assert local.uploads.state(ANN, view.id).state == "open"


# ---------------------------------------------------------------- others, limits, ends
def test_an_upload_is_ones_own(local: Installation) -> None:
    view = local.uploads.create(ANN, new(MODEL))
    part = part_of(view, MODEL, 1)
    asks = [
        lambda: local.uploads.state(BOB, view.id),
        lambda: local.uploads.put_part(BOB, view.id, 1, digest(part), iter([part])),
        lambda: local.uploads.complete(BOB, view.id),
        lambda: local.uploads.abort(BOB, view.id),
        lambda: local.uploads.prove(BOB, view.id, "model.safetensors", ""),
    ]
    for ask in asks:
        with pytest.raises(UnknownUpload):
            ask()
    assert local.uploads.list(BOB) == []
    assert [item.id for item in local.uploads.list(ANN)] == [view.id]
    assert local.uploads.state(LOCAL_ADMIN, view.id).owner == "ann"


def test_limits_hold(local: Installation) -> None:
    service = local.service(Limits(upload_bytes=1000, quota_bytes=1500, open_uploads=3, reserve_bytes=0))
    with pytest.raises(UploadTooLarge):
        service.create(ANN, [NewFile(path="a", size=1001)])
    first = service.create(ANN, [NewFile(path="a", size=1000)])
    with pytest.raises(UploadQuota):
        service.create(ANN, [NewFile(path="a", size=501)])
    service.create(BOB, [NewFile(path="a", size=1000)])
    service.create(ANN, [NewFile(path="a", size=1)])
    service.create(ANN, [NewFile(path="a", size=1)])
    with pytest.raises(UploadQuota):
        service.create(ANN, [NewFile(path="a", size=1)])
    service.abort(ANN, first.id)
    service.create(ANN, [NewFile(path="a", size=900)])


def test_a_disk_without_room_is_said_before_the_first_byte(local: Installation) -> None:
    parts = FolderParts(local.root / "uploads", local.store, free=lambda path: 30_000_000)
    service = local.service(Limits(reserve_bytes=1_000_000), parts=parts)
    with pytest.raises(NoRoomForUpload):
        service.create(ANN, [NewFile(path="a", size=14_600_000)])  # twice that and the reserve
    service.create(ANN, [NewFile(path="a", size=10_000_000)])
    with pytest.raises(NoRoomForUpload):
        service.create(BOB, [NewFile(path="a", size=10_000_000)])  # promised to the first


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_loses_nothing(local: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    view = local.uploads.create(ANN, new(MODEL))
    send(local.uploads, ANN, view, MODEL, [1, 3])

    class Full(FolderParts):
        def writer(self, *arguments):  # type: ignore[no-untyped-def]
            made = super().writer(*arguments)
            made._file.close()
            made._file = open("/dev/full", "wb")  # noqa: SIM115
            return made

    full = local.service(parts=Full(local.parts.root, local.store))
    part = part_of(view, MODEL, 2)
    with pytest.raises(DiskFull):
        full.put_part(ANN, view.id, 2, digest(part), iter([part]))
    assert local.uploads.state(ANN, view.id).missing == ((2, 2), (4, 5))
    send(local.uploads, ANN, view, MODEL, [2, 4, 5])
    assert local.uploads.complete(ANN, view.id).state == "complete"


def test_an_upload_that_was_given_up_is_gone(installation: Installation) -> None:
    view = installation.uploads.create(ANN, new(MODEL))
    send(installation.uploads, ANN, view, MODEL, [1, 2])
    assert installation.uploads.abort(ANN, view.id).state == "aborted"
    assert installation.uploads.abort(ANN, view.id).state == "aborted"
    assert installation.files_left() == []
    part = part_of(view, MODEL, 3)
    with pytest.raises(UploadClosed):
        installation.uploads.put_part(ANN, view.id, 3, digest(part), iter([part]))
    with pytest.raises(UploadClosed):
        installation.uploads.complete(ANN, view.id)
    assert installation.uploads.create(ANN, new(MODEL)).state == "open"


def test_a_part_on_its_way_when_the_upload_is_given_up_does_not_count(local: Installation) -> None:
    view = local.uploads.create(ANN, new(MODEL))
    part = part_of(view, MODEL, 2)
    with local.uploads.part(ANN, view.id, 2, digest(part)) as incoming:
        incoming.write(part)
        local.uploads.abort(ANN, view.id)
        with pytest.raises(UploadClosed):
            incoming.commit()


def test_a_complete_upload_cannot_be_given_up(local: Installation) -> None:
    done = send_all(local.uploads, ANN, MODEL)
    with pytest.raises(UploadClosed):
        local.uploads.abort(ANN, done.id)
    assert local.store.stat(digest(MODEL["config.json"])) is not None


def test_uploads_expire_and_each_part_puts_it_off(local: Installation) -> None:
    view = local.uploads.create(ANN, new(MODEL))
    local.later = timedelta(hours=100)
    send(local.uploads, ANN, view, MODEL, [1])
    local.later = timedelta(hours=200)
    assert local.uploads.expire() == 0
    local.later = timedelta(hours=300)
    part = part_of(view, MODEL, 2)
    with pytest.raises(UploadClosed):
        local.uploads.put_part(ANN, view.id, 2, digest(part), iter([part]))
    assert local.uploads.expire() == 1
    assert local.uploads.state(ANN, view.id).state == "expired" and local.files_left() == []


def test_many_writers_and_one_slow_complete_do_not_harm_each_other(local: Installation) -> None:
    """Parts of one upload come while others are completed and given up."""
    contents = [{"a.bin": os.urandom(PART + 1 + number)} for number in range(6)]
    views = [local.uploads.create(ANN, new(content)) for content in contents]
    start = threading.Barrier(6)

    def work(number: int) -> str:
        start.wait()
        send(local.uploads, ANN, views[number], contents[number], views[number].missing_numbers())
        if number % 3 == 2:
            return local.uploads.abort(ANN, views[number].id).state
        return local.uploads.complete(ANN, views[number].id).state

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == ["complete", "complete", "aborted"] * 2
    assert local.files_left() == []


# ---------------------------------------------------------------- parts and their numbers
@pytest.mark.parametrize("sizes", [[1], [PART], [PART + 1], [0, 5, 0], [3 * PART, 1, PART]])
def test_parts_are_every_byte_once(sizes: list[int]) -> None:
    found = list(parts_of(sizes, PART))
    assert [part.number for part in found] == list(range(1, len(found) + 1))
    for file, size in enumerate(sizes):
        ends = [(part.offset, part.offset + part.size) for part in found if part.file == file]
        assert [start for start, _ in ends] == [0, *[end for _, end in ends]][: len(ends)]
        assert (ends[-1][1] if ends else 0) == size


def test_parts_grow_above_fifty_gigabytes() -> None:
    assert part_size_for([50 << 30]) == 10 << 20 and part_size_for([48 << 30]) == PART
    for size in (1, 48 << 30, 60 << 30, 5 << 40):
        assert -(-size // part_size_for([size])) <= 10_000
