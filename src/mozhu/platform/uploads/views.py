"""What an upload looks like from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mozhu.specs.service import ServiceSpec
from mozhu.specs.uploads import Challenge, NewFile, part_counts

UploadState = Literal["open", "complete", "aborted", "expired", "failed"]
Need = Literal["wanted", "known"]


@dataclass(frozen=True)
class UploadFile:
    """``need`` is ``known`` when nothing of it is sent; ``challenge`` may make a wanted file known, once.

    ``sha256`` is what its sender said, once complete what was read back. Its parts are ``first_part`` and the
    ``part_count`` from there on.
    """

    path: str
    size: int
    sha256: str | None
    need: Need
    challenge: Challenge | None
    first_part: int
    part_count: int

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "size": self.size,
            "sha256": self.sha256,
            "need": self.need,
            "challenge": self.challenge.model_dump(mode="json") if self.challenge else None,
            "first_part": self.first_part,
            "part_count": self.part_count,
        }


@dataclass(frozen=True)
class UploadView:
    """``missing`` are the numbers of the parts that are still to be sent, as ranges (first, last)."""

    id: str
    owner: str
    team: str
    state: UploadState
    purpose: dict[str, Any]
    files: tuple[UploadFile, ...]
    part_size: int
    part_count: int
    missing: tuple[tuple[int, int], ...]
    received_bytes: int
    size_bytes: int
    created: str
    expires: str

    @property
    def missing_count(self) -> int:
        return sum(last - first + 1 for first, last in self.missing)

    def missing_numbers(self) -> list[int]:
        return [number for first, last in self.missing for number in range(first, last + 1)]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "owner": self.owner,
            "team": self.team,
            "state": self.state,
            "purpose": self.purpose,
            "files": [file.to_json() for file in self.files],
            "part_size": self.part_size,
            "part_count": self.part_count,
            "missing": [list(pair) for pair in self.missing],
            "missing_count": self.missing_count,
            "received_bytes": self.received_bytes,
            "size_bytes": self.size_bytes,
            "created": self.created,
            "expires": self.expires,
        }


@dataclass(frozen=True)
class PartView:
    """A part that is durable; ``already``: it was before, and nothing was written."""

    number: int
    size: int
    sha256: str
    already: bool

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number, "size": self.size, "sha256": self.sha256, "already": self.already}


@dataclass(frozen=True)
class Limits:
    """What one upload and one user may have; sizes in bytes."""

    upload_bytes: int = 10 << 30
    quota_bytes: int = 100 << 30
    open_uploads: int = 100
    expiry_hours: int = 7 * 24
    # What an upload must leave free on the disk that holds it.
    reserve_bytes: int = 256 << 20


def limits_of(settings: ServiceSpec) -> Limits:
    return Limits(
        upload_bytes=settings.upload_limit_bytes,
        quota_bytes=settings.upload_quota_bytes,
        expiry_hours=settings.upload_expiry_hours,
    )


def files_of(plan: dict[str, Any], part_size: int) -> tuple[UploadFile, ...]:
    """The files that a row's plan names, with the numbers of their parts."""
    stored: list[dict[str, Any]] = plan["files"]
    counts = part_counts([file["size"] for file in stored], part_size)
    found, first = [], 1
    for file, count in zip(stored, counts):
        challenge = Challenge(**file["challenge"]) if file.get("challenge") else None
        found.append(
            UploadFile(
                path=file["path"],
                size=file["size"],
                sha256=file["sha256"],
                need=file["need"],
                challenge=challenge,
                first_part=first,
                part_count=count,
            )
        )
        first += count
    return tuple(found)


def stored_file(file: NewFile, *, known: bool, challenge: Challenge | None) -> dict[str, Any]:
    """A file as a row's plan holds it."""
    return {
        **file.model_dump(mode="json"),
        "need": "known" if known else "wanted",
        "challenge": challenge.model_dump(mode="json") if challenge else None,
    }


def ranges_of(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Ascending numbers as ranges (first, last)."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)
