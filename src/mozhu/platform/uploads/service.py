"""Uploads that cannot be lost: what was acknowledged is never sent again.

A part counts when its bytes are durable and its row is written, in this order; until then it is sent again. A file
counts when all of it was read back and its hash is right. Both hold through a kill at any moment.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

from sqlalchemy.orm import Session

from mozhu.kernel.errors import (
    BlobMissing,
    ContentDiffers,
    MissingFile,
    MozhuError,
    NoRoomForUpload,
    NotWritable,
    PartDamaged,
    PartsMissing,
    UnknownPart,
    UnknownUpload,
    UploadClosed,
    UploadQuota,
    UploadTooLarge,
)
from mozhu.kernel.files import human_size
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.database.engine import CATALOGUE_ROOM, Database
from mozhu.platform.database.tables_uploads import UploadPartRow, UploadRow
from mozhu.platform.storage import rows as contents
from mozhu.platform.storage.blobs import BlobStore, digest_of
from mozhu.platform.uploads import rows
from mozhu.platform.uploads.checking import check_files
from mozhu.platform.uploads.locks import lock_of
from mozhu.platform.uploads.parts import PartRoom, PartWriter
from mozhu.platform.uploads.proof import LEAST_BYTES, is_proven, new_challenge
from mozhu.platform.uploads.views import Limits, PartView, UploadFile, UploadView, files_of, stored_file
from mozhu.specs.uploads import MOST_PART_BYTES, PART_BYTES, NewFile, Part, find_part, part_size_for

MayRead = Callable[[Session, Subject, str], bool]
Progress = Callable[[int, int], None]


class Uploads:
    """The uploads of one installation. Threads and processes may share them.

    Args:
        parts: Where parts lie until their file is whole.
        may_read: Whether a subject may read a content by way of some version; asked before a known content is not
            sent.
        clock: The time, injected in tests.
    """

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        parts: PartRoom,
        *,
        limits: Limits | None = None,
        may_read: MayRead,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._store = store
        self._parts = parts
        self.limits = limits or Limits()
        self._may_read = may_read
        self._clock = clock

    def create(
        self,
        subject: Subject,
        files: Sequence[NewFile],
        *,
        team: str | None = None,
        purpose: dict[str, Any] | None = None,
        part_size: int | None = None,
    ) -> UploadView:
        """An open upload. Files that are known here and that ``subject`` may read are not sent.

        Args:
            purpose: What the files are for, kept with the upload: a model, a version, notes.
            part_size: Only to make parts smaller than usual, in tests, or larger.

        Raises:
            BadUploadFiles: UPLOAD-010. UploadTooLarge: UPLOAD-002. UploadQuota: UPLOAD-003.
            NoRoomForUpload: UPLOAD-004; no byte was sent then.
        """
        check_files(files)
        size = sum(file.size for file in files)
        if size > self.limits.upload_bytes:
            raise UploadTooLarge(size=human_size(size), limit=human_size(self.limits.upload_bytes))
        least = part_size_for([file.size for file in files])
        size_of_parts = (
            min(max(part_size, 1 if least == PART_BYTES else least), MOST_PART_BYTES) if part_size else least
        )
        upload_id = secrets.token_urlsafe(18)
        with self._database.reading() as session:
            self._check_quota(session, subject, size)
            plan = {"files": [self._planned(session, subject, file) for file in files]}
            planned = files_of(plan, size_of_parts)
            self._check_room(session, [file.size for file in planned if file.need == "wanted"])
        # What the room of parts does may take a while: no other writer waits for it.
        place = self._parts.begin(upload_id, planned)
        try:
            with self._writing() as session:
                self._check_quota(session, subject, size)
                self._check_known(session, planned)
                row = rows.add_upload(
                    session,
                    id=upload_id,
                    owner=subject.user,
                    team=team or next(iter(subject.teams), subject.user),
                    purpose=purpose or {},
                    plan=plan,
                    place=place,
                    part_size=size_of_parts,
                    size_bytes=size,
                    created=self._now(),
                    expires=self._expiry(),
                )
                return rows.view(session, row)
        except MozhuError:
            self._parts.drop(upload_id, place)
            raise

    def state(self, subject: Subject, upload_id: str) -> UploadView:
        """What is here and what is still to be sent.

        Raises:
            UnknownUpload: UPLOAD-001, also for one of somebody else.
        """
        with self._database.reading() as session:
            return rows.view(session, self._row(session, subject, upload_id))

    def list(self, subject: Subject) -> list[UploadView]:
        """The subject's uploads, newest first; an administrator's are everyone's."""
        with self._database.reading() as session:
            found = rows.uploads_of(session, None if subject.is_admin else subject.user)
            return [rows.view(session, row) for row in found]

    def prove(self, subject: Subject, upload_id: str, path: str, answer: str) -> UploadView:
        """The file ``path`` need not be sent, when ``answer`` shows that the subject has it and it is here.

        One answer a file: whatever it was, the challenge is gone.

        Raises:
            UnknownUpload: UPLOAD-001. UploadClosed: UPLOAD-007.
        """
        with self._database.reading() as session:
            row = self._open_row(session, subject, upload_id)
            asked = [
                file for file in files_of(row.plan, row.part_size) if file.path == path and file.challenge
            ]
            right = any(file.need == "wanted" and self._is_proven(session, file, answer) for file in asked)
        with self._writing() as session:
            row = self._open_row(session, subject, upload_id)
            stored = [dict(file) for file in row.plan["files"]]
            for file in stored:
                if file["path"] == path and file["challenge"]:
                    file["need"] = "known" if right else file["need"]
                    file["challenge"] = None
            rows.set_plan(session, upload_id, {"files": stored})
            session.flush()
            session.refresh(row)
            return rows.view(session, row)

    def part(self, subject: Subject, upload_id: str, number: int, sha256: str) -> IncomingPart:
        """A part on its way in, a context manager: ``write`` pieces, then ``commit``; without that nothing is kept.

        Args:
            sha256: ``sha256:<hex>`` of the part, as its sender says.

        Raises:
            UnknownUpload: UPLOAD-001. UnknownPart: UPLOAD-006. UploadClosed: UPLOAD-007.
        """
        with self._database.reading() as session:
            row = self._open_row(session, subject, upload_id)
            files = files_of(row.plan, row.part_size)
            part = find_part([file.size for file in files], row.part_size, number)
            if part is None:
                raise UnknownPart(upload=upload_id, part=number, count=sum(file.part_count for file in files))
            there = rows.part(session, upload_id, number)
            known = files[part.file].need == "known" or (there is not None and there.sha256 == sha256)
            writer = None
            if not known:
                inside = number - files[part.file].first_part + 1
                writer = self._parts.writer(upload_id, row.place, part.file, inside, part.size)
        return IncomingPart(self, upload_id, part, sha256, writer)

    def put_part(
        self, subject: Subject, upload_id: str, number: int, sha256: str, pieces: Iterable[bytes]
    ) -> PartView:
        """The part is durable and will not be asked for again.

        Raises:
            PartDamaged: UPLOAD-005, other bytes than ``sha256`` says. DiskFull: FILE-003. As ``part``.
        """
        with self.part(subject, upload_id, number, sha256) as incoming:
            for piece in pieces:
                incoming.write(piece)
            return incoming.commit()

    def complete(
        self, subject: Subject, upload_id: str, *, on_progress: Progress = lambda done, total: None
    ) -> UploadView:
        """Every file is whole in the store, read back, its hash right; the upload is ``complete``.

        Again, or by two at once, gives the same. A kill in the middle leaves it open, with all its parts.

        Args:
            on_progress: Is told how many bytes have been read back, and of how many.

        Raises:
            PartsMissing: UPLOAD-008 with their numbers. ContentDiffers: UPLOAD-009; the upload has failed then.
            UnknownUpload: UPLOAD-001. UploadClosed: UPLOAD-007. DiskFull: FILE-003.
        """
        with lock_of(upload_id):
            with self._database.reading() as session:
                row = self._row(session, subject, upload_id)
                view = rows.view(session, row)
                if view.state == "complete":
                    return view
                self._check_open(row)
                marks = _marks(session, upload_id)
                place = dict(row.place)
            if view.missing_count:
                raise PartsMissing(upload=upload_id, count=view.missing_count, missing=_words(view.missing))
            return self._completed(subject, view, place, marks, on_progress)

    def abort(self, subject: Subject, upload_id: str) -> UploadView:
        """The upload has ended and its parts are gone; nothing happens to one that was given up before.

        Raises:
            UnknownUpload: UPLOAD-001. UploadClosed: UPLOAD-007, it is complete.
        """
        with self._writing() as session:
            row = self._row(session, subject, upload_id)
            if row.state == "complete":
                raise UploadClosed(upload=upload_id, state=row.state)
            place = dict(row.place)
            self._end(session, upload_id, "aborted")
            session.flush()
            session.refresh(row)
            view = rows.view(session, row)
        self._parts.drop(upload_id, place)
        return view

    def expire(self) -> int:
        """Uploads whose time is over have ended and their parts are gone; how many there were."""
        with self._writing() as session:
            over = [(row.id, dict(row.place)) for row in rows.expired(session, self._now())]
            for upload_id, _ in over:
                self._end(session, upload_id, "expired")
        for upload_id, place in over:
            self._parts.drop(upload_id, place)
        return len(over)

    def _completed(
        self,
        subject: Subject,
        view: UploadView,
        place: dict[str, Any],
        marks: dict[int, str],
        on_progress: Progress,
    ) -> UploadView:
        done, total = 0, sum(file.size for file in view.files if file.need == "wanted")

        def seen(count: int) -> None:
            nonlocal done
            done += count
            on_progress(done, total)

        try:
            digests = [
                file.sha256 or ""
                if file.need == "known"
                else self._parts.finish(view.id, place, index, file, _marks_of(file, marks), seen)
                for index, file in enumerate(view.files)
            ]
        except ContentDiffers:
            self._fail(view.id, place)
            raise
        except (MissingFile, BlobMissing):
            # Another process has completed it meanwhile and put its parts away.
            now = self.state(subject, view.id)
            if now.state == "complete":
                return now
            # Or a part that was on its way twice has come again and stands for the one that was counted on.
            with self._database.reading() as session:
                newer = _marks(session, view.id)
            if newer == marks:
                raise
            return self._completed(subject, view, place, newer, on_progress)
        return self._recorded(subject, view, place, digests)

    def _recorded(
        self, subject: Subject, view: UploadView, place: dict[str, Any], digests: Sequence[str]
    ) -> UploadView:
        """The contents and the end of the upload are written down, in one step, with every content in the store.

        The collection of garbage takes turns with this, so that what is there now stays.
        """
        with self._writing() as session:
            row = self._row(session, subject, view.id)
            if row.state == "complete":
                return rows.view(session, row)
            self._check_open(row)
            stored = [dict(file) for file in row.plan["files"]]
            for file, digest in zip(stored, digests):
                there = self._store.stat(digest)
                if there is None or there.size != file["size"]:
                    raise BlobMissing(store=self._store.name, digest=digest)
                if file["need"] == "wanted":
                    contents.record_blob(session, digest, there.size, self._now())
                file.update(sha256=digest, challenge=None)
            rows.set_plan(session, view.id, {"files": stored})
            rows.forget_parts(session, view.id)
            rows.end_upload(session, view.id, "complete", self._now())
            session.flush()
            session.refresh(row)
            done = rows.view(session, row)
        self._parts.drop(view.id, place)
        return done

    def _commit(self, upload_id: str, part: Part, sha256: str, mark: str) -> PartView:
        """The row of a part whose bytes are durable."""
        try:
            with self._writing(upload_id) as session:
                row = rows.upload(session, upload_id)
                if row is None:
                    raise UnknownUpload(upload=upload_id)
                self._check_open(row)
                before = rows.part(session, upload_id, part.number)
                old = before.mark if before else None
                new = UploadPartRow(
                    upload_id=upload_id,
                    number=part.number,
                    size=part.size,
                    sha256=sha256,
                    mark=mark,
                    received=self._now(),
                )
                rows.put_part(session, new)
                rows.prolong(session, upload_id, self._expiry())
        except (UnknownUpload, UploadClosed):
            self._parts.forget(upload_id, mark)
            raise
        if old and old != mark:
            self._parts.forget(upload_id, old)
        return PartView(part.number, part.size, sha256, already=False)

    def _planned(self, session: Session, subject: Subject, file: NewFile) -> dict[str, Any]:
        if file.sha256 is None:
            return stored_file(file, known=False, challenge=None)
        blob = contents.blob(session, file.sha256)
        here = blob is not None and blob.size == file.size and self._store.stat(file.sha256) is not None
        if here and self._knows(session, subject, file.sha256):
            return stored_file(file, known=True, challenge=None)
        # Also for what is not here: who asks learns nothing.
        challenge = new_challenge(file.size) if file.size >= LEAST_BYTES else None
        return stored_file(file, known=False, challenge=challenge)

    def _knows(self, session: Session, subject: Subject, digest: str) -> bool:
        since = iso_time(self._clock() - timedelta(hours=self.limits.expiry_hours))
        return rows.sent_by(session, subject.user, digest, since) or self._may_read(session, subject, digest)

    def _is_proven(self, session: Session, file: UploadFile, answer: str) -> bool:
        blob = contents.blob(session, file.sha256 or "")
        if blob is None or blob.size != file.size or file.challenge is None:
            return False
        try:
            return is_proven(self._store, blob.sha256, file.challenge, answer)
        except BlobMissing:
            return False

    def _check_known(self, session: Session, files: Sequence[UploadFile]) -> None:
        """What was known a moment ago is here still: from now on the upload holds it."""
        for file in files:
            if file.need == "known" and contents.blob(session, file.sha256 or "") is None:
                raise BlobMissing(store=self._store.name, digest=file.sha256)

    def _check_quota(self, session: Session, subject: Subject, size: int) -> None:
        count, used = rows.used_by(session, subject.user)
        if count >= self.limits.open_uploads or used + size > self.limits.quota_bytes:
            raise UploadQuota(
                count=count,
                used=human_size(used),
                most_count=self.limits.open_uploads,
                most=human_size(self.limits.quota_bytes),
            )

    def _check_room(self, session: Session, sizes: Sequence[int]) -> None:
        """What was promised to other uploads is not there for this one."""
        free = self._parts.free_bytes()
        if free is None or not sizes:
            return
        needed = self._parts.needed_bytes(sizes) + self.limits.reserve_bytes
        left = max(0, free - rows.promised_bytes(session))
        if needed > left:
            raise NoRoomForUpload(place=self._store.name, needed=human_size(needed), free=human_size(left))

    def _fail(self, upload_id: str, place: dict[str, Any]) -> None:
        with self._writing() as session:
            self._end(session, upload_id, "failed")
        self._parts.drop(upload_id, place)

    def _end(self, session: Session, upload_id: str, state: str) -> None:
        rows.forget_parts(session, upload_id)
        rows.end_upload(session, upload_id, state, self._now())

    def _row(self, session: Session, subject: Subject, upload_id: str) -> UploadRow:
        row = rows.upload(session, upload_id)
        if row is None or not (subject.is_admin or row.owner == subject.user):
            raise UnknownUpload(upload=upload_id)
        return row

    def _open_row(self, session: Session, subject: Subject, upload_id: str) -> UploadRow:
        row = self._row(session, subject, upload_id)
        self._check_open(row)
        return row

    def _check_open(self, row: UploadRow) -> None:
        if row.state != "open" or row.expires <= self._now():
            raise UploadClosed(upload=row.id, state=row.state if row.state != "open" else "expired")

    def _check_still_open(self, upload_id: str) -> None:
        with self._database.reading() as session:
            row = rows.upload(session, upload_id)
            if row is not None:
                self._check_open(row)

    def _writing(self, upload_id: str | None = None) -> Any:
        """Takes turns with everyone who adds or removes contents; a part only with those of its own upload."""
        room = f"upload {upload_id}" if upload_id else CATALOGUE_ROOM
        return self._database.writing(room=room)

    def _now(self) -> str:
        return iso_time(self._clock())

    def _expiry(self) -> str:
        return iso_time(self._clock() + timedelta(hours=self.limits.expiry_hours))


class IncomingPart:
    """A part while it comes in. ``writer`` is ``None`` for one that is here already: its bytes are only checked."""

    def __init__(
        self, uploads: Uploads, upload_id: str, part: Part, sha256: str, writer: PartWriter | None
    ) -> None:
        self._uploads, self._id, self._part, self._sha256 = uploads, upload_id, part, sha256
        self._writer = writer
        self._hash, self._count = hashlib.sha256(), 0
        self._kept = False

    def write(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            PartDamaged: UPLOAD-005, more bytes than the part has; the rest need not be read. DiskFull: FILE-003.
        """
        self._count += len(piece)
        if self._count > self._part.size:
            raise self._damage(f"> {self._part.size} bytes")
        self._hash.update(piece)
        if self._writer is not None:
            self._writer.write(piece)

    def commit(self) -> PartView:
        """The part is durable, then recorded.

        Raises:
            PartDamaged: UPLOAD-005. UploadClosed: UPLOAD-007, it ended meanwhile. DiskFull: FILE-003.
        """
        if self._count != self._part.size:
            raise self._damage(f"{self._count} bytes")
        found = digest_of(self._hash.hexdigest())
        if found != self._sha256:
            raise self._damage(found)
        if self._writer is None:
            return PartView(self._part.number, self._part.size, self._sha256, already=True)
        try:
            mark = self._writer.close()
        except NotWritable:
            self._uploads._check_still_open(self._id)  # its folder is gone when it was given up
            raise
        done = self._uploads._commit(self._id, self._part, self._sha256, mark)
        self._kept = True
        return done

    def write_all(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.write(piece)

    def commit_with(self, pieces: Iterable[bytes]) -> PartView:
        """The last bytes, and then as :meth:`commit`."""
        self.write_all(pieces)
        return self.commit()

    @property
    def is_open(self) -> bool:
        """Whether something would be left of it that does not count."""
        return self._writer is not None and not self._kept

    def __enter__(self) -> IncomingPart:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_open:
            self._writer.cancel()  # type: ignore[union-attr]

    def _damage(self, found: str) -> PartDamaged:
        return PartDamaged(upload=self._id, part=self._part.number, expected=self._sha256, found=found)


def _marks(session: Session, upload_id: str) -> dict[int, str]:
    """Where each part of an upload lies, as recorded now."""
    return {part.number: part.mark for part in rows.parts(session, upload_id)}


def _marks_of(file: UploadFile, marks: dict[int, str]) -> list[str]:
    return [marks[number] for number in range(file.first_part, file.first_part + file.part_count)]


def _words(ranges: Sequence[tuple[int, int]], most: int = 10) -> str:
    shown = [f"{first}" if first == last else f"{first}-{last}" for first, last in ranges[:most]]
    return ", ".join(shown) + (" …" if len(ranges) > most else "")
