"""Data sets as people keep them: found, described, shared, deleted and taken back, by the rules that models have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from registry_artefacts import write_run
from registry_snapshots import prepare, write_snapshot
from sqlalchemy import text
from sqlalchemy.orm import Session

from mozhu.kernel.errors import InTrash, LastVersion, NotAllowed, UnknownDatasetVersion, VersionInUse
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.catalog.datasets.service import Datasets
from mozhu.platform.catalog.models import Models
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.platform.catalog.service import Registry
from mozhu.platform.database.asking import Asked
from mozhu.platform.database.engine import Database
from mozhu.platform.uploads.upkeep import registry_fsck
from mozhu.specs.registry import FsckSpec

ANN, EVE = Subject("ann", ("vision",)), Subject("eve")


@pytest.fixture
def datasets(workspace: Path):  # type: ignore[no-untyped-def]
    with Datasets(workspace) as opened:
        yield opened


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    room = tmp_path_factory.mktemp("snapshots")
    return [write_snapshot(room / str(seed), rows=6, seed=seed) for seed in range(4)]


@pytest.fixture
def filled(datasets: Datasets, snapshots: list[Path]) -> Datasets:
    """``d`` with three versions, ``客服-data`` with one."""
    for folder in snapshots[:3]:
        datasets.register(folder, name="d", tags=("医疗", "qa"))
    datasets.register(snapshots[3], name="客服-data", description="售后问答，Legal Notes")
    return datasets


def names(datasets: Datasets, search: str = "", **asked: Any) -> list[str]:
    return [item.name for item in datasets.page(ModelQuery(search=search, **asked)).items]


def labels(datasets: Datasets) -> list[str]:
    return [version.label for version in datasets.show("d").versions]


def test_a_search_finds_every_word_from_one_chinese_character_on(filled: Datasets) -> None:
    filled.set_notes("d:v2", "去掉了重复的挂号")
    filled.edit("客服-data", licence="cc-by", description="来自热线")
    for search in ("医", "医疗", "QA", "挂号", "v3", "医疗 d", "去掉"):
        assert names(filled, search) == ["d"], search
    for search in ("客", "售后", "legal", "热线", "CC-by", "ｄata"):
        assert names(filled, search) == ["客服-data"], search
    for search in ("疗医", "zz", "%", "医疗 售后"):
        assert names(filled, search) == [], search
    assert names(filled, "local") == ["客服-data", "d"]


def test_filters_sorts_and_pages_hold_together(filled: Datasets) -> None:
    assert names(filled, tag="医疗") == ["d"] and names(filled, tag="医") == []
    assert names(filled, type="sft") == ["客服-data", "d"] and names(filled, type="kto") == []
    assert names(filled, owner="ann") == [] and names(filled, state="failed") == []
    for sort in ("updated", "name"):
        first = filled.page(ModelQuery(sort=sort), limit=1)  # type: ignore[arg-type]
        second = filled.page(ModelQuery(sort=sort), limit=1, after=first.next)  # type: ignore[arg-type]
        assert [*first.items, *second.items] == list(filled.page(ModelQuery(sort=sort)).items)  # type: ignore[arg-type]
        assert second.next is None
    assert (filled.counts().models, filled.counts().versions, filled.counts().by_type) == (2, 4, {"sft": 2})


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"text": "连续的文字，没有问题。"}, "pt"),
        ({"instruction": "问", "chosen": "好的回答", "rejected": "坏的回答"}, "dpo"),
        ({"instruction": "问", "output": "答", "label": True}, "kto"),
        ({"text": "句子", "label": "好评"}, "classification"),
    ],
)
def test_the_kind_is_what_the_rows_of_the_snapshot_teach(
    datasets: Datasets, tmp_path: Path, row: dict[str, Any], kind: str
) -> None:
    import json

    raw = tmp_path / "raw.jsonl"
    lines = [
        {name: f"{value}{n}" if isinstance(value, str) else value for name, value in row.items()}
        for n in range(8)
    ]
    if kind == "classification":
        lines = [{**line, "label": ("好评", "差评")[n % 2]} for n, line in enumerate(lines)]
    raw.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    version = datasets.register(prepare(raw, tmp_path / "s", "x")).version
    assert version.kind == kind and datasets.show("x").dataset.kind == kind


def test_a_version_and_a_data_set_go_into_the_trash_and_come_back(
    filled: Datasets, snapshots: list[Path]
) -> None:
    assert filled.delete("d:v2", keep=False) == ("d:v2",) and labels(filled) == ["v3", "v2", "v1"]
    assert filled.delete("d:v2") == ("d:v2",)
    assert labels(filled) == ["v3", "v1"] and filled.suggest("d") == "v4"
    for lost in (
        lambda: filled.show("d:v2"),
        lambda: filled.resolve("d:v2"),
        lambda: filled.row("d:v2", "1"),
    ):
        with pytest.raises(UnknownDatasetVersion):
            lost()
    filled.restore("d:v2")
    filled.delete("d:v1")
    filled.delete("d:v2")
    with pytest.raises(LastVersion) as said:
        filled.delete("d:v3")
    assert "mozhu datasets delete d" in said.value.next
    filled.delete("d")
    assert (names(filled), names(filled, trash=True)) == (["客服-data"], ["d"])
    with pytest.raises(InTrash):
        filled.register(snapshots[3], name="d")
    with pytest.raises(InTrash):
        filled.edit("d", description="x")
    filled.restore("d")
    assert labels(filled) == ["v3"] and filled.show("d").dataset.version_count == 1


def test_what_a_run_or_a_model_uses_is_not_deleted_unless_it_is_named(
    filled: Datasets, workspace: Path, snapshots: list[Path], tmp_path: Path
) -> None:
    with Datasets(workspace, in_use=lambda reference: ["run-7"] if reference == "d:v2" else []) as running:
        for reference in ("d:v2", "d"):
            with pytest.raises(VersionInUse, match="run-7"):
                running.delete(reference, force="yes")
    for folder in snapshots[:3]:
        filled.register(folder, name="medical_qa")
    with Registry(workspace) as registry:
        registry.register(write_run(tmp_path / "run"), name="m")  # it was trained on medical_qa:v3
        filled.share("medical_qa", "user:eve", "manage")
        for subject, told in ((LOCAL_ADMIN, "m:v1"), (EVE, "+1")):
            with pytest.raises(VersionInUse) as said:
                filled.delete("medical_qa:v3", subject=subject)
            assert told in str(said.value) and ("m:v1" in str(said.value)) == (subject is LOCAL_ADMIN)
        filled.delete("medical_qa:v1")
        filled.delete("medical_qa:v3", force="medical_qa:v3")


def test_emptying_the_trash_takes_folders_and_rows_and_nothing_else(
    filled: Datasets, workspace: Path
) -> None:
    kept, gone, whole = (filled.resolve(name) for name in ("d:v1", "d:v2", "客服-data"))
    filled.delete("d:v2")
    filled.delete("客服-data")
    assert filled.empty_trash(days=30) == ()
    assert filled.empty_trash(days=0, keep=False) == ("d:v2", "客服-data:v1") and gone.is_dir()
    with pytest.raises(NotAllowed):
        filled.empty_trash(days=0, subject=ANN)
    assert filled.empty_trash(days=0) == ("d:v2", "客服-data:v1")
    assert (kept.is_dir(), gone.exists(), whole.exists()) == (True, False, False)
    before = filled.fingerprint()
    with Registry(workspace) as registry:
        assert registry.rescan().datasets.gone == ()
    assert filled.fingerprint() == before and names(filled, "售后") == []


def test_the_check_of_the_store_reads_data_sets_too(filled: Datasets, workspace: Path) -> None:
    assert registry_fsck(workspace, FsckSpec()).findings == ()
    part = filled.resolve("d:v2") / "medical_qa_train.jsonl"
    part.unlink()
    (filled.resolve("d:v3") / "registration.json").unlink()
    report = registry_fsck(workspace, FsckSpec(repair=True))
    assert {finding.digest for finding in report.open_findings} == {"dataset://d:v2", "dataset://d:v3"}
    assert report.exit_code == 3 and "medical_qa_train.jsonl" in report.findings[0].line()


def test_rights_open_what_they_say_and_no_more(filled: Datasets) -> None:
    def seen(subject: Subject) -> list[str]:
        return [item.name for item in filled.page(ModelQuery(search="d"), subject=subject).items]

    assert seen(ANN) == [] and filled.counts(subject=ANN).models == 0
    with pytest.raises(UnknownDatasetVersion):
        filled.row("d", "1", subject=ANN)
    filled.share("d", "team:vision", "read")
    assert (seen(ANN), seen(EVE)) == (["d"], []) and filled.row("d", "1", subject=ANN).row
    for change in (
        lambda: filled.edit("d", subject=ANN, description="x"),
        lambda: filled.delete("d:v1", subject=ANN),
        lambda: filled.rate("d", 3, subject=ANN),
        lambda: filled.validate_version("d", subject=ANN),
        lambda: filled.share("d", "user:eve", "read", subject=ANN),
    ):
        with pytest.raises(NotAllowed):
            change()
    filled.share("d", "user:ann", "write")
    filled.edit("d", subject=ANN, description="读片")
    with pytest.raises(NotAllowed):
        filled.edit("d", subject=ANN, visibility="everyone")
    filled.edit("d", visibility="everyone")
    filled.rate("d", 5, subject=EVE)
    assert seen(EVE) == ["d"] and filled.rating("d") == (5.0, 1)


def test_all_that_was_said_of_it_outlives_the_database(filled: Datasets, workspace: Path) -> None:
    filled.edit("d", description="说明", licence="MIT", visibility="team")
    filled.set_notes("d:v1", "第一版")
    filled.set_tags("d:v1", ("门诊", "qa"))
    filled.set_alias("d:v1", "best", protected=True)
    filled.share("d", "user:ann", "write")
    filled.rate("d", 4, "好")
    filled.delete("d:v3")
    filled.delete("客服-data")
    before = (filled.fingerprint(), filled.counts(), filled.page(ModelQuery()))
    filled.close()
    with Registry(workspace) as registry:
        if registry.database.is_postgres:
            with registry.database.writing() as session:
                session.execute(text("TRUNCATE datasets, search_grams CASCADE"))
        else:
            registry.close()
            for path in registry.models.glob("catalog.db*"):
                path.unlink()
        registry.rescan()
    assert (filled.fingerprint(), filled.counts(), filled.page(ModelQuery())) == before
    assert filled.show("d@best").chosen.label == "v1" and labels(filled) == ["v2", "v1"]
    assert names(filled, "第一版") == ["d"] == names(filled, tag="门诊") and names(filled, trash=True) == [
        "客服-data"
    ]


# What is asked, and the index whose order the list has, where it is led by its order.
ASKED = (
    (ModelQuery(), "updated_id"),
    (ModelQuery(sort="name"), "name_id"),
    (ModelQuery(type="sft"), "{sort}_updated_id"),
    (ModelQuery(owner="ann"), "owner_updated_id"),
    (ModelQuery(visibility="everyone"), "visibility_updated_id"),
    (ModelQuery(trash=True), "in_trash"),
    (ModelQuery(tag="医疗"), ""),
    (ModelQuery(search="医疗"), ""),
)


def plan(session: Session, asked: Asked) -> list[str]:
    """The steps of SQLite for a question, in a registry that nobody has counted (without ANALYZE)."""
    connection = session.connection()
    compiled = asked.question.compiled(connection.dialect)
    raw = connection.connection.driver_connection
    assert raw is not None
    return [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {compiled.sql}", compiled.given(asked.values))]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("rooms", ["datasets", "models"])
def test_every_list_is_led_by_an_index(
    filled: Datasets, workspace: Path, rooms: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with Registry(workspace, database=filled.database) as registry:
        registry.register(write_run(tmp_path / "run"), name="m", tags=("医疗",))
    room = filled if rooms == "datasets" else Models(workspace, database=filled.database)
    said: list[Asked] = []
    ask = Database.ask

    def heard(self: Database, *asked: Asked) -> list[list[Any]]:
        said.extend(asked)
        return ask(self, *asked)

    monkeypatch.setattr(Database, "ask", heard)
    for asked, index in ASKED:
        for subject in (LOCAL_ADMIN, ANN):
            said.clear()
            room.page(asked, subject=subject, after=("2026", 5))  # type: ignore[union-attr]
            assert said
            for question in said:
                with filled.database.reading() as session:
                    steps = plan(session, question)
                scans = [step for step in steps if step.startswith("SCAN") and "INDEX" not in step]
                assert not [step for step in scans if rooms in step or "versions" in step], (asked, steps)
                if subject is LOCAL_ADMIN and index:
                    named = f"ix_{rooms}_{index.format(sort=room.kind.sort_of)} "
                    assert any(named in f"{step} " for step in steps), (asked, steps)
