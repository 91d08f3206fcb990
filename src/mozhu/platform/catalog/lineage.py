"""Where things come from: data -> run -> adapter -> merged model -> GGUF, both ways; the only SQL about it.

Edges are read from what lies beside a version: the request of its run, its base record, its certificate. Weights have
a fingerprint, so that a merged model meets its adapter, and a GGUF file its model, whatever they are called and
whichever was registered first. Other rooms add edges of their own (``endpoint``, ``answer``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.access import readable, readable_datasets
from mozhu.platform.catalog.artefacts import BASE, CERTIFICATE, json_object
from mozhu.platform.catalog.references import parse_reference
from mozhu.platform.catalog.sidecars import CONFIG_SIDECAR
from mozhu.platform.catalog.views import VersionFacts
from mozhu.platform.database.portable import put_all
from mozhu.platform.database.tables import Dataset, Model
from mozhu.platform.database.tables_assets import LineageEdge
from mozhu.specs.records.sidecars import REGISTRATION

# Kinds of nodes whose edges do not come from version folders and outlive a rescan.
OF_SERVING = ("endpoint", "answer")
_MOST_NODES = 2000
# How the record of a copy names its origin: `copy://name:v2`.
COPY_OF = "copy://"
Way = Literal["from", "to"]


@dataclass(frozen=True, order=True)
class Node:
    """``kind``: dataset, row, run, version, model (one that is not registered), weights, endpoint, answer, hidden."""

    kind: str
    reference: str


# Everything that may not be read, as one: how many there are is not told either.
HIDDEN = Node("hidden", "")


@dataclass(frozen=True, order=True)
class Edge:
    """``target`` came from ``source``; ``relation`` is the part that the source played."""

    source: Node
    target: Node
    relation: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Family:
    """``edges`` lead from the oldest ancestors of ``start`` to its youngest descendants."""

    start: Node
    edges: tuple[Edge, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        ends = {node for edge in self.edges for node in (edge.source, edge.target)}
        return tuple(sorted(ends | {self.start}))

    def to_json(self) -> dict[str, Any]:
        return {
            "start": asdict(self.start),
            "nodes": [asdict(node) for node in self.nodes],
            "edges": [edge.to_json() for edge in self.edges],
        }


def edges_of(folder: Path, facts: VersionFacts) -> list[Edge]:
    """What the files beside a version tell of its origin."""
    version = Node("version", facts.reference)
    return [*_of_run(folder, facts, version), *_of_weights(folder, version), *copied_from(folder, version)]


def copied_from(folder: Path, made: Node) -> list[Edge]:
    """The edge from what ``made``, a version of a model or a data set, is a copy of."""
    source = str(json_object(folder / REGISTRATION).get("source", ""))
    if not source.startswith(COPY_OF):
        return []
    return [Edge(Node(made.kind, source.removeprefix(COPY_OF)), made, "copy")]


def add_edges(session: Session, edges: Iterable[Edge]) -> None:
    """The edges are there; those that were there stay."""
    rows = [
        {
            "src_kind": edge.source.kind,
            "src": edge.source.reference[:500],
            "dst_kind": edge.target.kind,
            "dst": edge.target.reference[:500],
            "relation": edge.relation,
        }
        for edge in dict.fromkeys(edges)
    ]
    put_all(session, LineageEdge, rows)


def clear(session: Session) -> None:
    """Take out every edge that comes from a version's folder."""
    session.execute(
        delete(LineageEdge).where(
            LineageEdge.src_kind.not_in(OF_SERVING), LineageEdge.dst_kind.not_in(OF_SERVING)
        )
    )


def sees(session: Session, subject: Subject, node: Node) -> bool:
    """Whether ``subject`` may ask for the family of ``node``."""
    return node.kind != HIDDEN.kind and _Sight(session, subject).shows(node)


def knows(session: Session, subject: Subject, found: Family) -> bool:
    """Whether there is something registered in ``found`` that ``subject`` may read."""
    names: dict[str, set[str]] = {"version": set(), "dataset": set()}
    for node in found.nodes:
        parsed = parse_reference(node.reference)
        if node.kind in names and parsed is not None:
            names[node.kind].add(parsed.name)
    models = select(Model.id).where(Model.name.in_(names["version"]), readable(subject))
    datasets = select(Dataset.id).where(Dataset.name.in_(names["dataset"]), readable_datasets(subject))
    return any(session.scalar(query.limit(1)) is not None for query in (models, datasets))


def family(session: Session, subject: Subject, start: Node) -> Family:
    """Everything that ``start`` came from and everything that came from it.

    It ends at what ``subject`` may not read: that is a node ``hidden`` without a name, one for all, and what lies
    behind it is not told.
    """
    sight = _Sight(session, subject)
    edges = {*_walk(sight, start, "from"), *_walk(sight, start, "to")}
    if start.kind == "row":
        data = Node("dataset", start.reference.partition("#")[0])
        edges = {Edge(start, data, "row"), *_walk(sight, data, "to")}
    return Family(start, tuple(sorted(edges)))


@dataclass(frozen=True)
class _Sight:
    """What one subject sees of the graph: what they may read, and runs that made something of that."""

    session: Session
    subject: Subject

    def shows(self, node: Node, way: Way = "from") -> bool:
        """Whether ``node`` may be named to the subject, who came to it by ``way``.

        What is not registered is named by the records of what came from it, which the subject has read. What went
        into it does not tell the name: there a version that was taken out of the registry stays hidden.
        """
        if self.subject.is_admin or node.kind not in ("version", "dataset", "row", "run"):
            return True
        if node.kind == "run":
            return any(self._reads(Node("version", made), "to") for made in self._made_by(node))
        return self._reads(node, way)

    def _reads(self, node: Node, way: Way) -> bool:
        parsed = parse_reference(node.reference.partition("#")[0])
        if parsed is None:
            return way == "from"
        table, may = (
            (Model, readable(self.subject))
            if node.kind == "version"
            else (Dataset, readable_datasets(self.subject))
        )
        named = select(table.id).where(table.name == parsed.name)
        if self.session.scalar(named.limit(1)) is None:
            return way == "from"
        return self.session.scalar(named.where(may).limit(1)) is not None

    def _made_by(self, run: Node) -> list[str]:
        query = select(LineageEdge.dst).where(LineageEdge.src_kind == "run", LineageEdge.src == run.reference)
        return list(self.session.scalars(query.where(LineageEdge.dst_kind == "version")))


def _walk(sight: _Sight, start: Node, way: Way) -> set[Edge]:
    found: set[Edge] = set()
    seen, front = {start}, [start]
    while front and len(seen) < _MOST_NODES:
        edges = {edge for node in front for edge in _beside(sight.session, node, way)}
        ends = {edge: edge.source if way == "from" else edge.target for edge in edges}
        fresh = set(ends.values()) - seen
        shown = {node for node in fresh if sight.shows(node, way)} | (set(ends.values()) - fresh)
        found |= {edge if ends[edge] in shown else _hiding(edge, way) for edge in edges}
        front = sorted(shown - seen)
        seen |= shown
    return found


def _hiding(edge: Edge, way: Way) -> Edge:
    """``edge`` without the name of the end that it leads to."""
    return replace(edge, source=HIDDEN) if way == "from" else replace(edge, target=HIDDEN)


def _beside(session: Session, node: Node, way: Way) -> list[Edge]:
    kind, name = (
        (LineageEdge.dst_kind, LineageEdge.dst) if way == "from" else (LineageEdge.src_kind, LineageEdge.src)
    )
    query = select(LineageEdge).where(kind == node.kind, name == node.reference)
    return [
        Edge(Node(row.src_kind, row.src), Node(row.dst_kind, row.dst), row.relation)
        for row in session.scalars(query)
    ]


def _of_run(folder: Path, facts: VersionFacts, version: Node) -> list[Edge]:
    request = json_object(folder / CONFIG_SIDECAR)
    inputs = request.get("inputs")
    if isinstance(request.get("run"), str) and isinstance(inputs, list):
        run = Node("run", request["run"])
        told = [item for item in inputs if isinstance(item, dict) and item.get("ref")]
        ins = [
            Edge(_node(str(item.get("role")), str(item["ref"])), run, str(item.get("role"))) for item in told
        ]
        roles = {edge.relation for edge in ins}
        ins += [edge for edge in _without_run(folder, facts, run) if edge.relation not in roles]
        return [*ins, Edge(run, version, "made")]
    return _without_run(folder, facts, version)


def _without_run(folder: Path, facts: VersionFacts, made: Node) -> list[Edge]:
    bases = [json_object(folder / BASE).get("ref") or facts.base_model]
    known = parse_reference(facts.base_model)
    if known is not None and known.version is not None:  # found in the catalogue when it was registered
        bases.append(facts.base_model)
    found = [Edge(_node("base", str(base)), made, "base") for base in dict.fromkeys(bases) if base]
    if facts.training_dataset:
        found.append(Edge(_node("data", facts.training_dataset), made, "data"))
    return found


def _of_weights(folder: Path, version: Node) -> list[Edge]:
    certificate = json_object(folder / CERTIFICATE)
    found = []
    prints = certificate.get("fingerprint")
    whole = prints.get("whole") if isinstance(prints, dict) else None
    if isinstance(whole, str):
        found.append(Edge(version, Node("weights", whole), "is"))
    made_from = certificate.get("made_from")
    for item in made_from if isinstance(made_from, list) else ():
        if isinstance(item, dict) and isinstance(item.get("fingerprint"), str):
            source = Node("weights", item["fingerprint"])
            found.append(Edge(source, version, str(item.get("role", "source"))))
    return found


def _node(role: str, reference: str) -> Node:
    if role == "data":
        return Node("dataset", reference)
    parsed = parse_reference(reference)
    return Node("version" if parsed and parsed.version else "model", reference)


def node_of(reference: str) -> Node:
    """``name:v2`` is a version, ``name:v3#118`` a row of data, and ``run://…``, ``dataset://…`` are what they say."""
    kind, found, rest = reference.partition("://")
    if found:
        return Node(kind, rest)
    return Node("row" if "#" in reference else "version", reference)
