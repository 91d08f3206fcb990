"""The catalogue over HTTP with a token: many models, both databases, beside MLflow's registry on the same database.

Peer: MLflow's registry REST (one worker, no token), filled through its own tables with the same names, versions, words
and descriptions. Both are asked one request at a time over one kept connection; a figure is the median time of one
request as its caller waits for it, with the CPU seconds of the service and of its database per request. MLflow is asked
fewer times a round because it is slow; nothing else differs. It searches names only and has no index of words, so where
a question exceeds it only we are measured; its model page is two requests (model, versions), as a page needs both.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.facts import ROOT
from benchmarks.harness import Peer, Skipped, alternate
from benchmarks.peers import mlflow_registry
from benchmarks.peers.environments import python_of
from benchmarks.registry_seed import RARE_TAG, VERSIONS, model_name, seed
from benchmarks.registry_servers import Ask, Server, mlflow, ours
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size

_MLFLOW = "/api/2.0/mlflow"
_LEAST_TIMES = 10
Where = Path | str


@dataclass(frozen=True)
class Question:
    """``ours`` and ``theirs`` give the requests of the n-th time; ``ms``: the most that a median may take."""

    title: str
    ours: Callable[[int], Sequence[Ask]]
    theirs: Callable[[int], Sequence[Ask]] | None
    ms: float
    ten_times: bool = True


def measure(work: Path, size: Size) -> list[Comparison]:
    python = python_of("mlflow")
    found = []
    for engine, database in (("SQLite", _sqlite), ("PostgreSQL", _postgres)):
        folder = work / engine.lower()
        (folder / "5_models").mkdir(parents=True)
        with database(folder, size["models"], python) as (mine, theirs, others), ExitStack() as stack:
            address = None if isinstance(mine, Path) else mine
            server = stack.enter_context(ours(folder, address, others))
            peer = stack.enter_context(mlflow(python, theirs, folder, others)) if python else None
            for question in _questions(size["models"]):
                found.append(_compared(engine, question, server, peer, size))
            found.append(_creating(engine, server, peer, size))
    return found


def _questions(count: int) -> list[Question]:
    dice = random.Random(11)
    some = [dice.randrange(count) for _ in range(10_000)]

    def listed(**asked: Any) -> Callable[[int], Sequence[Ask]]:
        words = "&".join(f"{name}={quote(str(value))}" for name, value in asked.items())
        return lambda number: [Ask("GET", f"/api/v1/models?limit=50&{words}")]

    def theirs(condition: str = "") -> Callable[[int], Sequence[Ask]]:
        asked = f"{_MLFLOW}/registered-models/search?max_results=50"
        return lambda number: [Ask("GET", asked + (f"&filter={quote(condition)}" if condition else ""))]

    def named(number: int) -> str:
        return model_name(some[number % len(some)])

    def one_hit(number: int) -> Sequence[Ask]:
        return listed(search=named(number)[-9:])(number)

    def their_hit(number: int) -> Sequence[Ask]:
        return theirs(f"name LIKE '%{named(number)[-9:]}%'")(number)

    def page(number: int) -> Sequence[Ask]:
        return [Ask("GET", f"/api/v1/models/{named(number)}")]

    def their_page(number: int) -> Sequence[Ask]:
        versions = quote(f"name='{named(number)}'")
        return [
            Ask("GET", f"{_MLFLOW}/registered-models/get?name={named(number)}"),
            Ask("GET", f"{_MLFLOW}/model-versions/search?max_results=50&filter={versions}"),
        ]

    return [
        Question("list 50", listed(), theirs(), 20),
        Question("list 50 by name", listed(sort="name"), theirs(), 20),
        Question("search, many hits", listed(search="medical"), theirs("name LIKE '%medical%'"), 30),
        Question("search, one hit", one_hit, their_hit, 30),
        Question(
            "search, two Chinese characters without a hit",
            listed(search="天文"),
            theirs("name LIKE '%天文%'"),
            30,
        ),
        Question("search, two Chinese characters with hits", listed(search="客服"), None, 30),
        Question("search, one Chinese character", listed(search="医"), None, 30),
        Question(
            "search, common parts that never stand together",
            listed(search="qa-finance"),
            theirs("name LIKE '%qa-finance%'"),
            30,
        ),
        Question("tag filter", listed(tag="team-7"), theirs("tags.word = 'team-7'"), 20),
        Question("tag filter, rare", listed(tag=RARE_TAG), theirs(f"tags.word = '{RARE_TAG}'"), 20),
        Question("tag filter, every model", listed(tag="qa"), None, 20),
        Question("model page", page, their_page, 20, ten_times=False),
    ]


def _compared(engine: str, question: Question, server: Server, peer: Server | None, size: Size) -> Comparison:
    numbers = iter(range(1_000_000))

    def asked(to: Server, what: Callable[[int], Sequence[Ask]], times: int) -> Peer:
        return lambda: to.sample([what(next(numbers)) for _ in range(times)])

    peers = {"mozhu": asked(server, question.ours, size["times"])}
    if peer is not None and question.theirs is not None:
        peers["mlflow"] = asked(peer, question.theirs, size["peer_times"])
    for to in peers.values():
        to()  # both warm
    return _told(f"{question.title}, {engine}", alternate(peers), size, question.ms, ten=question.ten_times)


def _creating(engine: str, server: Server, peer: Server | None, size: Size) -> Comparison:
    """A new version of a model that has some, out of an upload that is still open: its name is taken, and the rest is
    done in the background. MLflow writes a row.
    """
    sent = Ask("POST", "/api/v1/uploads", {"files": [{"path": "model.safetensors", "size": 1 << 20}]})
    upload = server.ask(sent)["id"]
    numbers = iter(range(1_000_000))

    def mine(number: int) -> Sequence[Ask]:
        body = {"upload": upload, "notes": "在1M中文对话数据上微调，loss降至0.32", "tags": ["qa"]}
        return [Ask("POST", f"/api/v1/models/{model_name(number % size['models'])}/versions", body)]

    def theirs(number: int) -> Sequence[Ask]:
        body = {"name": model_name(number % size["models"]), "source": "s3://models/new"}
        return [Ask("POST", f"{_MLFLOW}/model-versions/create", body)]

    def made(to: Server, what: Callable[[int], Sequence[Ask]]) -> Peer:
        return lambda: to.sample([what(next(numbers)) for _ in range(size["created"])])

    peers = {"mozhu": made(server, mine)}
    if peer is not None:
        peers["mlflow"] = made(peer, theirs)
    for to in peers.values():
        to()  # both warm
    return _told(f"create a version, {engine}", alternate(peers), size, 30, ten=False)


def _told(title: str, measured: Any, size: Size, ms: float, *, ten: bool) -> Comparison:
    wall = measured["mozhu"].figure("wall_s") or 0.0
    limits = [Limit("median of one request", wall * 1000, ms, "ms")]
    if ten and "mlflow" in measured:
        share = wall / (measured["mlflow"].figure("wall_s") or 1.0)
        limits.append(Limit("time against MLflow", share, 1 / _LEAST_TIMES, "times"))
    facts = {"models": size["models"], "versions": VERSIONS * size["models"]}
    against = [("mozhu", "mlflow")] if "mlflow" in measured else []
    return Comparison(title, measured, 1, "requests", against=against, limits=limits, facts=facts)


@contextmanager
def _sqlite(folder: Path, count: int, python: Path | None) -> Iterator[tuple[Where, Where, Sequence[int]]]:
    mine, theirs = folder / "5_models" / "catalog.db", folder / "mlflow.db"
    seed(mine, count)
    if python is not None:
        mlflow_registry.make_tables(python, mlflow_registry.address_of(theirs))
        mlflow_registry.seed(theirs, count)
    yield mine, theirs, ()


@contextmanager
def _postgres(folder: Path, count: int, python: Path | None) -> Iterator[tuple[Where, Where, Sequence[int]]]:
    with postgres_for_people() as postgres:
        mine, theirs = postgres.make(), postgres.make()
        seed(mine, count)
        if python is not None:
            mlflow_registry.make_tables(python, mlflow_registry.address_of(theirs))
            mlflow_registry.seed(theirs, count)
        yield mine, theirs, (postgres.process.pid,)


@contextmanager
def postgres_for_people() -> Iterator[Any]:
    """A server as it is for people: every commit is on the disk.

    Raises:
        Skipped: It is not installed.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    from services.postgres import missing_parts, running_postgres

    if missing_parts():
        raise Skipped(f"not installed: {', '.join(missing_parts())}")
    with running_postgres(fsync="on", full_page_writes="on", shared_buffers="512MB") as postgres:
        yield postgres
