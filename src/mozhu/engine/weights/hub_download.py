"""A model from a hub: checked against the hub's own checksums, whole or absent, and with a record of its commit."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.engine.weights.hub_cache import find_cached, is_hub_id
from mozhu.engine.weights.hub_errors import broken_off, causes, first_words, told_to_stay_offline
from mozhu.engine.weights.hub_files import HubFile, Listing, chosen_files, has_weights, pickled
from mozhu.engine.weights.hub_record import DOWNLOAD_RECORD, DownloadRecord
from mozhu.engine.weights.references import find_model
from mozhu.kernel import slots
from mozhu.kernel.errors import (
    HubFailed,
    MozhuError,
    NoRoomForDownload,
    OfflineHub,
    TargetExists,
    UnsafeWeights,
)
from mozhu.kernel.files import free_bytes, human_size, make_folder, replacing_folder, sha256_file, writing
from mozhu.kernel.progress import Emit, iso_time, utc_now
from mozhu.kernel.texts import text
from mozhu.specs.download import DownloadSpec
from mozhu.specs.records.result import Artefact, Metric, Outcome
from mozhu.specs.settings import model_settings

_HUBS_SLOT = "mozhu.model_hubs"
_TELL_EVERY_S = 0.5
_MEGABYTE = 1_000_000
_SHOWN = 6


def wanted_from_hub(ref: str) -> DownloadSpec | None:
    """What has to be fetched before ``ref`` can be used: nothing when it is here, or may not be fetched."""
    hub = model_settings().hub
    if not is_hub_id(ref) or hub == "none" or told_to_stay_offline():
        return None
    try:
        find_model(ref)
    except OfflineHub:
        return DownloadSpec(model=ref)
    except MozhuError:
        return None
    return None


def run_download(spec: DownloadSpec, folder: Path, emit: Emit) -> Outcome:
    """The model lies in ``spec.output_dir``, else in its hub's cache, with every byte as the hub has it.

    Stopped or cut off it goes on with the files that are not whole yet; until all are there is no model.

    Raises:
        OfflineHub: ENV-003, the network is not allowed and no cache has the model. HubFailed: ENV-005.
        UnsafeWeights: MODEL-005, there are only pickles. TargetExists: FILE-007. NoRoomForDownload: ENV-006.
    """
    target = Path(spec.output_dir) if spec.output_dir else None
    hub = spec.hub or model_settings().hub
    if hub == "none" or told_to_stay_offline() or not is_hub_id(spec.model):
        return _from_cache(spec, target, emit)
    client: Any = slots.load(_HUBS_SLOT, hub)()
    listing, files = _agreed(spec, client, emit)
    if target is None and hub == "modelscope":
        target = client.cache_folder(spec.model)
    here = _already_here(target, spec, files) if target else None
    if here:
        emit("log", message=text("model.hub.already", path=str(target)))
    elif target:
        here = _fetch_to_folder(spec, client, listing, files, target, emit)
    else:
        here = _fetch_to_cache(spec, client, listing, files, emit)
    return _outcome(here, hub, listing.commit, files)


def _agreed(spec: DownloadSpec, client: Any, emit: Emit) -> tuple[Listing, list[HubFile]]:
    """What the hub has, and which of it is taken."""
    try:
        listing = client.listing(spec.model, spec.revision)
    except Exception as error:
        raise _failed(spec, client, error) from error
    files = chosen_files(listing.files, spec.include)
    if not has_weights(files, spec.include):
        if found := pickled(listing.files):
            raise UnsafeWeights(path=spec.model, files=found)
        raise _refused(spec, client, "empty", files=_some([file.path for file in listing.files]))
    size = sum(file.size for file in files)
    left = [file.path for file in listing.files if file not in files]
    facts = {"commit": listing.commit, "files": len(files), "size": human_size(size)}
    emit("log", message=text("model.hub.found", name=spec.model, address=client.address, **facts))
    if left:
        emit("log", message=text("model.hub.left_out", count=len(left), names=_some(left)))
    return listing, files


def _fetch_to_folder(
    spec: DownloadSpec, client: Any, listing: Listing, files: list[HubFile], target: Path, emit: Emit
) -> Path:
    """Into a folder beside ``target`` that takes its name when every file is whole."""
    staging = target.with_name(f".{target.name}.download")
    make_folder(staging)
    _need_room(files, staging, client.bytes_here(spec.model, files, staging))
    _follow(spec, client, files, staging, emit, lambda: client.fetch(spec.model, listing, files, staging))
    digests = _checked(spec, client, staging, files)
    with writing(target):
        for extra in _strangers(staging, files):
            shutil.rmtree(extra) if extra.is_dir() else extra.unlink()
        _record(spec, client, listing, digests).write(staging / DOWNLOAD_RECORD)
        if target.is_dir():
            target.rmdir()  # empty, or it would have been refused
        os.replace(staging, target)
    return target


def _fetch_to_cache(
    spec: DownloadSpec, client: Any, listing: Listing, files: list[HubFile], emit: Emit
) -> Path:
    found: list[Path] = []

    def fetch() -> None:
        found.append(client.fetch_to_cache(spec.model, listing, files))

    _follow(spec, client, files, None, emit, fetch)
    _checked(spec, client, found[0], files)
    client.name_in_cache(found[0], listing.commit, spec.revision)
    return found[0]


def _follow(
    spec: DownloadSpec, client: Any, files: list[HubFile], folder: Path | None, emit: Emit, work: Any
) -> None:
    """Carry ``work`` out while telling how far it is; when stopped, transfers under way are ended too."""
    failures: list[BaseException] = []

    def carry_out() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    pace = _Pace(sum(file.size for file in files), client.bytes_here(spec.model, files, folder))
    thread = threading.Thread(target=carry_out, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_TELL_EVERY_S)
            pace.tell(emit, client.bytes_here(spec.model, files, folder) if thread.is_alive() else pace.total)
    except BaseException:
        client.stop()
        raise
    if failures:
        if isinstance(failures[0], MozhuError):
            raise failures[0]
        raise _failed(spec, client, failures[0]) from failures[0]


class _Pace:
    """How far a transfer of ``total`` bytes is, of which ``here`` were there when it began."""

    def __init__(self, total: int, here: int) -> None:
        self.total, self._here, self._began = total, here, time.monotonic()

    def tell(self, emit: Emit, now: int) -> None:
        now, seconds = min(now, self.total), max(1e-3, time.monotonic() - self._began)
        speed = max(0, now - self._here) / seconds
        left = {"eta_s": round((self.total - now) / speed, 1)} if speed else {}
        step, total = (-(-value // _MEGABYTE) for value in (now, self.total))
        emit("step", step=step, total=total, unit=f"MB · {speed / _MEGABYTE:.1f} MB/s", **left)


def _checked(spec: DownloadSpec, client: Any, folder: Path, files: Sequence[HubFile]) -> dict[str, str]:
    """The checksum of every file; one that the hub has otherwise is removed, so that it is fetched anew."""
    digests = {file.path: sha256_file(folder / file.path) for file in files}
    for file in files:
        if file.sha256 and digests[file.path] != f"sha256:{file.sha256}":
            place = folder / file.path
            place.resolve().unlink()
            place.unlink(missing_ok=True)
            raise _refused(spec, client, "changed", files=file.path)
    return digests


def _from_cache(spec: DownloadSpec, target: Path | None, emit: Emit) -> Outcome:
    """Without a network: what a cache of this machine has."""
    found = find_cached(spec.model, spec.revision or "main") if is_hub_id(spec.model) else None
    if found is None:
        raise OfflineHub(name=spec.model)
    paths = [path for path in found.rglob("*") if path.is_file() and ".cache" not in path.parts]
    files = chosen_files(
        [HubFile(path.relative_to(found).as_posix(), path.stat().st_size) for path in paths], spec.include
    )
    if target is not None and not _already_here(target, spec, files):
        _need_room(files, target.parent, 0)
        with replacing_folder(target) as staging:
            for file in files:
                make_folder((staging / file.path).parent)
                shutil.copyfile(found / file.path, staging / file.path)
            digests = {file.path: sha256_file(staging / file.path) for file in files}
            record = DownloadRecord(
                hub="cache", name=spec.model, commit=found.name, files=digests, time=iso_time(utc_now())
            )
            record.write(staging / DOWNLOAD_RECORD)
    emit("log", message=text("model.hub.cached", name=spec.model, path=str(found)))
    return _outcome(target or found, "cache", found.name, files)


def _already_here(target: Path, spec: DownloadSpec, files: Sequence[HubFile]) -> Path | None:
    """``target`` when an earlier download of the same files made it.

    Raises:
        TargetExists: FILE-007, something else is there.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    record = target / DOWNLOAD_RECORD
    known = DownloadRecord.read(record) if record.is_file() else None
    if known is None or known.name != spec.model or known.files.keys() != {file.path for file in files}:
        raise TargetExists(path=str(target))
    for file in files:
        place = target / file.path
        same = not file.sha256 or known.files[file.path] == f"sha256:{file.sha256}"
        if not same or not place.is_file() or (file.size and place.stat().st_size != file.size):
            raise TargetExists(path=str(target))
    return target


def _record(spec: DownloadSpec, client: Any, listing: Listing, digests: dict[str, str]) -> DownloadRecord:
    return DownloadRecord(
        hub=client.address, name=spec.model, commit=listing.commit, files=digests, time=iso_time(utc_now())
    )


def _strangers(staging: Path, files: Sequence[HubFile]) -> list[Path]:
    """What the hub's library, or an earlier revision, left beside the files."""
    wanted = {file.path for file in files}
    tops = {path.partition("/")[0] for path in wanted}
    return [path for path in staging.iterdir() if path.name not in tops]


def _need_room(files: Sequence[HubFile], place: Path, here: int) -> None:
    need, free = sum(file.size for file in files) - here, free_bytes(place)
    if 0 < free < need:
        raise NoRoomForDownload(path=str(place), need=human_size(need), free=human_size(free))


def _outcome(place: Path, hub: str, commit: str, files: Sequence[HubFile]) -> Outcome:
    size = sum(file.size for file in files)
    details = {"hub": hub, "commit": commit, "bytes": size}
    return Outcome(
        artefacts=[Artefact(kind="model", path=str(place.absolute()))],
        metrics={"files": Metric(value=len(files))},
        details=details,
    )


def _failed(spec: DownloadSpec, client: Any, error: BaseException) -> HubFailed:
    reasons = [found for cause in causes(error) if (found := client.reason(cause))]
    if reasons:
        return _refused(spec, client, reasons[0])
    return _refused(spec, client, "network", detail=first_words(broken_off(error) or error))


def _refused(spec: DownloadSpec, client: Any, reason: str, **facts: str) -> HubFailed:
    told = {"revision": spec.revision or "-", **facts}
    words, how = text(f"model.hub.{reason}", **told), text(f"model.hub.{reason}.next", **told)
    return HubFailed(name=spec.model, address=client.address, reason=words, how=how)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
