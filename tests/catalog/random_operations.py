"""Random work on a registry beside a model of it in memory; some of it is killed in the middle."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from registry_artefacts import write_adapter
from registry_snapshots import write_snapshot
from sqlalchemy import select
from sqlalchemy.orm import Session

from mozhu.app import Composition, compose
from mozhu.kernel.errors import InTrash, LastVersion, MozhuError, VersionTaken
from mozhu.platform.accounts.subject import LOCAL_ADMIN
from mozhu.platform.catalog.artefacts import MANIFEST
from mozhu.platform.catalog.assets import Assets
from mozhu.platform.catalog.datasets.folders import dataset_folders, read_version
from mozhu.platform.catalog.kinds import DATASET, MODEL, Kind
from mozhu.platform.catalog.places import version_folders
from mozhu.platform.catalog.room import settings_of
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.platform.uploads.upkeep import registry_fsck, registry_gc
from mozhu.specs.records.manifest import Manifest
from mozhu.specs.registry import FsckSpec, GcSpec
from mozhu.specs.uploads import NewFile

NAMES = ("alpha", "beta", "伽马", "delta")
# Data sets are known under these; they may bear the names of models.
DATA = "data/"
DATA_NAMES, SNAPSHOTS = ("alpha", "问答"), 5
ALIASES = ("best", "production")
KILLED = 137


@dataclass
class Known:
    """A model or a data set as it should be. ``versions``: label -> its content; ``trash``: labels put away."""

    versions: dict[str, int] = field(default_factory=dict)
    trash: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    description: str = ""
    is_trashed: bool = False

    @property
    def here(self) -> list[str]:
        return [label for label in self.versions if label not in self.trash]


class Work:
    """Operations in a random order; ``killed`` counts those that ended in the middle."""

    def __init__(self, root: Path, sources: Path, seed: int) -> None:
        self.root, self.sources = root, sources
        self.dice = random.Random(seed)
        self.known: dict[str, Known] = {}
        self.uploaded: set[str] = set()
        self.next_content = 0
        self.killed = 0
        self.service = self._composed()

    def close(self) -> None:
        self.service.close()

    def run(self, count: int) -> None:
        kinds = (
            (self.register,) * 4
            + (self.register_data,) * 2
            + (self.edit, self.alias, self.unalias, self.upload, self.abort, self.gc)
        )
        kinds += (self.delete_version, self.delete_version, self.restore_version, self.delete_model)
        kinds += (self.restore_model, self.empty_trash)
        for number in range(count):
            self.dice.choice(kinds)()
            if number % 25 == 24:
                self.check_rows()

    # One operation each: what should happen is known before it is asked for.

    def register(self) -> None:
        name = self.dice.choice(NAMES)
        known = self.known.get(name, Known())
        again = self.dice.random() < 0.1 and bool(known.here)
        content = known.versions[self.dice.choice(known.here)] if again else self._new_content()
        source = self._source(content)
        if known.is_trashed:
            self._refused(InTrash, lambda to: to.registry.register(source, name=name))
            return
        if self.dice.random() < 0.1 and known.versions:
            taken = self.dice.choice(list(known.versions))
            if not again:
                self._refused(VersionTaken, lambda to: to.registry.register(source, name=name, version=taken))
                return
        label = self.service.models.suggest(name)

        def done() -> None:
            if not again:
                self.known.setdefault(name, Known()).versions[label] = content

        self._do(lambda to: to.registry.register(source, name=name), done)

    def register_data(self) -> None:
        """The same content again is the version that there is; of what is in the trash a new one is made."""
        key = DATA + self.dice.choice(DATA_NAMES)
        known, name = self.known.get(key, Known()), key.removeprefix(DATA)
        content = self.dice.randrange(SNAPSHOTS)
        source = self._snapshot(content)
        if known.is_trashed:
            self._refused(InTrash, lambda to: to.datasets.register(source, name=name))
            return
        again = content in {known.versions[label] for label in known.here}
        label = self.service.datasets.suggest(name)

        def done() -> None:
            if not again:
                self.known.setdefault(key, Known()).versions[label] = content

        self._do(lambda to: to.datasets.register(source, name=name), done)

    def edit(self) -> None:
        name = self._model(lambda known: not known.is_trashed)
        if name is not None:
            words = f"说明 {self.dice.random()}"
            self._do(
                lambda to: _room(to, name).edit(_name(name), description=words),
                lambda: setattr(self.known[name], "description", words),
            )

    def alias(self) -> None:
        name = self._model(lambda known: not known.is_trashed)
        if name is not None:
            alias, label = self.dice.choice(ALIASES), self.dice.choice(self.known[name].here)
            self._do(
                lambda to: _room(to, name).set_alias(f"{_name(name)}:{label}", alias),
                lambda: self.known[name].aliases.update({alias: label}),
            )

    def unalias(self) -> None:
        name = self._model(lambda known: not known.is_trashed and bool(known.aliases))
        if name is not None:
            alias = self.dice.choice(sorted(self.known[name].aliases))
            self._do(
                lambda to: _room(to, name).remove_alias(_name(name), alias),
                lambda: self.known[name].aliases.pop(alias),
            )

    def delete_version(self) -> None:
        name = self._model(lambda known: not known.is_trashed)
        if name is None:
            return
        known, label = self.known[name], self.dice.choice(self.known[name].here)
        if len(known.here) == 1:
            self._refused(LastVersion, lambda to: _room(to, name).delete(f"{_name(name)}:{label}"))
            return

        def done() -> None:
            known.trash.add(label)
            known.aliases = {alias: to for alias, to in known.aliases.items() if to != label}

        self._do(lambda to: _room(to, name).delete(f"{_name(name)}:{label}"), done)

    def restore_version(self) -> None:
        name = self._model(lambda known: not known.is_trashed and bool(known.trash))
        if name is not None:
            label = self.dice.choice(sorted(self.known[name].trash))
            self._do(
                lambda to: _room(to, name).restore(f"{_name(name)}:{label}"),
                lambda: self.known[name].trash.remove(label),
            )

    def delete_model(self) -> None:
        name = self._model(lambda known: not known.is_trashed)
        if name is not None:
            self._do(
                lambda to: _room(to, name).delete(_name(name)),
                lambda: setattr(self.known[name], "is_trashed", True),
            )

    def restore_model(self) -> None:
        name = self._model(lambda known: known.is_trashed)
        if name is not None:
            self._do(
                lambda to: _room(to, name).restore(_name(name)),
                lambda: setattr(self.known[name], "is_trashed", False),
            )

    def empty_trash(self) -> None:
        if self.dice.random() < 0.3:
            # One that was killed is done again: what it had begun to take away is gone for good.
            self._kill(_empty)
        _empty(self.service)
        self._emptied()

    def gc(self) -> None:
        spec = GcSpec(grace_hours=0, trash_days=30)
        if self.dice.random() < 0.3:
            self._kill(lambda to: registry_gc(self.root, spec))
        registry_gc(self.root, spec)

    def upload(self) -> None:
        """Content that comes in and may become a version: it is kept."""
        content = self.dice.randbytes(self.dice.randrange(1, 3000))
        digest = "sha256:" + hashlib.sha256(content).hexdigest()

        def act(to: Composition) -> None:
            made = to.uploads.create(LOCAL_ADMIN, [NewFile(path="a.bin", size=len(content))])
            with to.uploads.part(LOCAL_ADMIN, made.id, 1, digest) as part:
                part.write(content)
                part.commit()
            to.uploads.complete(LOCAL_ADMIN, made.id)

        self._do(act, lambda: self.uploaded.add(digest), has_happened=lambda: self._is_uploaded(digest))

    def abort(self) -> None:
        """Content that was given up: nothing of it is left."""

        def act(to: Composition) -> None:
            made = to.uploads.create(LOCAL_ADMIN, [NewFile(path="a.bin", size=2000)])
            to.uploads.abort(LOCAL_ADMIN, made.id)

        self._do(act, lambda: None, has_happened=lambda: True)

    # What should be, held against what is.

    def check_rows(self) -> None:
        assert self._rows() == self._expected()

    def check_everything(self) -> None:
        """Rows, folders, contents and the model in memory say the same; a check and a rescan find nothing to do."""
        registry_gc(self.root, GcSpec(grace_hours=0, trash_days=30))
        self.check_rows()
        models, registry = self.service.models, self.service.registry
        folders = {path.relative_to(models.models).as_posix() for path in version_folders(models.models)}
        count = sum(len(known.versions) for key, known in self.known.items() if not key.startswith(DATA))
        assert len(folders) == count
        data = [
            (key, label)
            for key, known in self.known.items()
            if key.startswith(DATA)
            for label in known.versions
        ]
        laid = {path.relative_to(models.models).as_posix() for path in dataset_folders(models.models)}
        assert laid == {f"datasets/{_name(key)}/{label}" for key, label in data}
        assert all(not read_version(models.models / place).problems for place in laid)
        digests = {
            file.sha256
            for folder in folders
            for file in Manifest.read(models.models / folder / MANIFEST).files
        }
        stored = {blob.digest for blob in registry.store.list()}
        assert digests | self.uploaded <= stored
        held = {digest for digest, _ in models.contents_in_use()}
        assert held == digests
        report = registry_fsck(self.root, FsckSpec(grace_hours=0))
        assert report.findings == (), [finding.line() for finding in report.findings]
        datasets = self.service.datasets
        before = (registry.fingerprint(), models.fingerprint(), datasets.fingerprint())
        registry.rescan()
        assert (registry.fingerprint(), models.fingerprint(), datasets.fingerprint()) == before
        self.check_rows()

    def _rows(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for mark, room, kind in (("", self.service.models, MODEL), (DATA, self.service.datasets, DATASET)):
            for trash in (False, True):
                for view in room.page(ModelQuery(trash=trash), limit=200).items:
                    aliases = {one.name: one.reference.partition(":")[2] for one in room.aliases(view.name)}
                    labels = self._labels(kind, view.name)
                    found[mark + view.name] = (trash, view.description, aliases, labels)
        return found

    def _labels(self, kind: Kind, name: str) -> dict[str, bool]:
        """Label -> whether it is in the trash by itself."""
        version, table = kind.version, kind.table
        query = select(version.label, version.trashed).join(table, table.id == kind.of(version))
        with self.service.database.reading() as session:
            found = session.execute(query.where(table.name == name))
            return {label: trashed is not None for label, trashed in found}

    def _expected(self) -> dict[str, Any]:
        return {
            name: (
                known.is_trashed,
                known.description,
                known.aliases,
                {label: label in known.trash for label in known.versions},
            )
            for name, known in self.known.items()
        }

    def _emptied(self) -> None:
        for name, known in list(self.known.items()):
            if known.is_trashed:
                del self.known[name]
                continue
            known.versions = {label: known.versions[label] for label in known.here}
            known.trash = set()

    # How it is done: whole, or killed at a random call of the system.

    def _do(
        self,
        act: Callable[[Composition], object],
        done: Callable[[], object],
        has_happened: Callable[[], bool] | None = None,
    ) -> None:
        """What was killed is all there or not at all; where it is not, it is done again, as its caller would."""
        if self.dice.random() < 0.15:
            before = self._rows()
            if self._kill(act):
                happened = has_happened() if has_happened else self._rows() != before
                if not happened:
                    act(self.service)
            done()
            self.check_rows()
        else:
            act(self.service)
            done()

    def _kill(self, act: Callable[[Composition], object]) -> bool:
        """Whether a process that did ``act`` was killed before it had done all of it."""
        steps = self.dice.randrange(1, 40)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _die_after(steps)
                act(self._composed())
                code = 0
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, KILLED), "it failed by itself"
        self.killed += code == KILLED
        return code == KILLED

    def _refused(self, kind: type[MozhuError], act: Callable[[Composition], object]) -> None:
        before = self._rows()
        try:
            act(self.service)
        except kind:
            assert self._rows() == before
        else:
            raise AssertionError(f"{kind.__name__} was expected")

    def _composed(self) -> Composition:
        return compose(self.root, settings_of(self.root / "5_models"))

    def _is_uploaded(self, digest: str) -> bool:
        return any(
            file.sha256 == digest
            for upload in self.service.uploads.list(LOCAL_ADMIN)
            if upload.state == "complete"
            for file in upload.files
        )

    def _model(self, wanted: Callable[[Known], bool]) -> str | None:
        names = [name for name, known in self.known.items() if wanted(known)]
        return self.dice.choice(names) if names else None

    def _new_content(self) -> int:
        self.next_content += 1
        return self.next_content

    def _source(self, content: int) -> Path:
        folder = self.sources / str(content)
        return folder if folder.is_dir() else write_adapter(folder, content, rank=1)

    def _snapshot(self, content: int) -> Path:
        folder = self.sources / f"data-{content}"
        return folder if folder.is_dir() else write_snapshot(folder, rows=3, seed=content)


def _name(key: str) -> str:
    return key.removeprefix(DATA)


def _room(to: Composition, key: str) -> Assets:
    return to.datasets if key.startswith(DATA) else to.models


def _empty(to: Composition) -> None:
    to.models.empty_trash(days=0)
    to.datasets.empty_trash(days=0)


def _die_after(steps: int) -> None:
    """From now on this process is gone at the ``steps``-th call that changes the disk or ends a transaction."""
    left = [steps]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] <= 0:
                os._exit(KILLED)
            return function(*arguments, **named)

        return call

    for name in ("rename", "replace", "link", "fsync", "unlink", "mkdir", "rmdir"):
        setattr(os, name, counted(getattr(os, name)))
    Session.commit = counted(Session.commit)  # type: ignore[method-assign]
