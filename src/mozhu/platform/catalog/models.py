"""Models as people keep them: what :class:`Assets` does, and what only models have: advice, a family, contents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from sqlalchemy import select

from mozhu.kernel.errors import UnknownReference
from mozhu.kernel.paths import next_version
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.catalog import rows, searching
from mozhu.platform.catalog.access import readable
from mozhu.platform.catalog.assets import Assets, Change, label_of
from mozhu.platform.catalog.copying import Wanted, copy_model
from mozhu.platform.catalog.kinds import MODEL, Kind
from mozhu.platform.catalog.lineage import Edge, Family, Node, add_edges, family, knows, node_of, sees
from mozhu.platform.catalog.naming import NameAdvice, advice_for
from mozhu.platform.catalog.searching import ModelPage, ModelQuery
from mozhu.platform.database.tables import Model, Version
from mozhu.platform.database.tables_assets import VersionFile


class Models(Assets):
    """The models of one workspace, as people keep them."""

    kind: ClassVar[Kind] = MODEL

    def page(
        self,
        asked: ModelQuery,
        *,
        subject: Subject = LOCAL_ADMIN,
        limit: int = 50,
        after: tuple[Any, ...] | None = None,
    ) -> ModelPage:
        """A page of the models that ``subject`` may read; ``after`` is ``next`` of the page before."""
        database = self._existing()
        if database is None:
            return ModelPage((), None)
        return searching.page(database, subject, asked, limit, after)

    def copy(
        self, reference: str, name: str, *, team: str | None = None, subject: Subject = LOCAL_ADMIN
    ) -> tuple[str, ...]:
        """The model ``reference``, or the one version that it names, is ``name`` too, and ``subject`` its owner.

        Args:
            team: One of the subject's, which may use the copy; without one the copy is private.

        Raises:
            UnknownReference: REG-001. NotAllowed: REG-023, it takes the right to use. NameTaken: REG-026.
            VersionFailed: REG-011. BadName: FILE-008. BadValue: REG-025, not a team of theirs.
        """
        wanted = Wanted(name, subject, team, self._clock())
        if self._existing() is None:
            raise UnknownReference(reference=reference, known=[])
        return copy_model(self._opened(), self.store, self.models, reference, wanted)

    def fingerprint(self) -> str:
        """``sha256:…`` of every card; equal after a rescan of an unchanged tree."""
        return self.cards_fingerprint()

    def suggest(self, name: str, *, subject: Subject = LOCAL_ADMIN) -> str:
        """As of every asset; a name that an import is to bear is in use too."""
        database = self._existing()
        if database is not None:
            with database.reading() as session:
                query = select(Model.id).where(Model.name == name, readable(subject))
                if subject.is_admin or session.scalar(query) is not None:
                    return rows.next_label(session, name)
        return next_version(None)

    def advice(self, reference: str, *, subject: Subject = LOCAL_ADMIN) -> tuple[NameAdvice, ...]:
        """What the naming rules say of a version, its model's name and its note."""
        with self._seeing(reference, subject) as (session, model):
            label = label_of(reference)
            chosen = (
                rows.newest_version(session, model.name)
                if label is None
                else rows.version_named(session, model.name, label)
            )
            if chosen is None:
                raise UnknownReference(reference=reference, known=[])
            return advice_for(chosen)

    def family(self, reference: str, *, subject: Subject = LOCAL_ADMIN) -> Family:
        """Everything that a version, row, run or data set came from, and everything that came from it.

        ``reference``: ``name``, ``name:v2``, ``name@alias``; ``data:v3#118``; ``run://…``, ``dataset://data:v3``.
        It ends at what ``subject`` may not read.

        Raises:
            UnknownReference: REG-001.
        """
        node = node_of(reference)
        if node.kind != "version":
            with self._opened().reading() as session:
                found = family(session, subject, node) if sees(session, subject, node) else None
                if found is None or not (subject.is_admin or knows(session, subject, found)):
                    raise UnknownReference(reference=reference, known=[])
                return found
        with self._seeing(reference, subject) as (session, model):
            change = Change(session, MODEL, model, "", subject)
            label = change.version(reference, trashed=True).label
            return family(session, subject, Node("version", f"{model.name}:{label}"))

    def connect(self, edges: Sequence[Edge]) -> None:
        """Edges of other rooms are in the graph: an endpoint that serves a version, an answer of an endpoint."""
        with self._opened().writing() as session:
            add_edges(session, edges)

    def contents_in_use(self) -> Iterator[tuple[str, str]]:
        """``sha256:…`` of every file of every version, the trash included, with the reference that needs it."""
        database = self._existing()
        if database is None:
            return
        query = select(VersionFile.sha256, Model.name, Version.label)
        query = query.join(Version, Version.id == VersionFile.version_id).join(
            Model, Model.id == Version.model_id
        )
        with database.reading() as session:
            for digest, name, label in session.execute(query.order_by(VersionFile.sha256)):
                yield digest, f"{name}:{label}"
