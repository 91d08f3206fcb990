"""Models as people keep them: found, named by aliases, shared, deleted and taken back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
from registry_artefacts import kind_of, sealed, write_gguf, write_model, write_run

from mozhu.kernel.errors import (
    BadValue,
    InTrash,
    LastVersion,
    NotAllowed,
    NotInTrash,
    ProtectedAlias,
    UnknownAlias,
    UnknownReference,
    VersionInUse,
)
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.lineage import Edge, Node
from mozhu.platform.catalog.models import Models
from mozhu.platform.catalog.naming import says_nothing
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.platform.uploads.upkeep import registry_fsck
from mozhu.specs.records.manifest import make_manifest
from mozhu.specs.registry import FsckSpec


@pytest.fixture
def models(workspace: Path):  # type: ignore[no-untyped-def]
    with Models(workspace) as opened:
        yield opened


@pytest.fixture
def filled(registry, models, tmp_path):  # type: ignore[no-untyped-def]
    """``m`` with three versions, ``n`` with one."""
    for seed in range(3):
        registry.register(write_run(tmp_path / f"m{seed}", seed), name="m", tags=("医疗", "qa"))
    registry.register(write_run(tmp_path / "n", 9), name="客服-Model", description="售后问答，Legal Notes")
    return models


def names(models, search="", **asked) -> list[str]:  # type: ignore[no-untyped-def]
    return [item.name for item in models.page(ModelQuery(search=search, **asked)).items]


def kept(registry) -> list[str]:  # type: ignore[no-untyped-def]
    return [version.label for version in registry.show("m").versions]


def test_parts_of_words_are_found_from_one_chinese_character_on(filled):
    for search in ("医", "医疗", "qa", "QA", "v3", "医疗 m"):
        assert names(filled, search) == ["m"], search
    for search in ("客", "售后", "问答", "legal", "gal no", "MODEL", "ｍodel", "服-m"):
        assert names(filled, search) == ["客服-Model"], search
    for search in ("疗医", "医客", "售问", "zz", "%", "_", "m:", "医疗 售后"):
        assert names(filled, search) == [], search
    assert names(filled, "starter") == ["客服-Model", "m"]


def test_filters_sorts_and_pages_hold_together(filled):
    assert names(filled, tag="医疗") == ["m"] and names(filled, tag="医") == []
    assert names(filled, type="image") == [] and names(filled, state="ready") == ["客服-Model", "m"]
    assert names(filled, sort="name") == sorted(["客服-Model", "m"])
    for sort in ("updated", "name"):
        first = filled.page(ModelQuery(sort=sort), limit=1)
        second = filled.page(ModelQuery(sort=sort), limit=1, after=first.next)
        assert [*first.items, *second.items] == list(filled.page(ModelQuery(sort=sort)).items)
        assert second.next is None
    counts = filled.counts()
    assert (counts.models, counts.versions, counts.by_type) == (2, 4, {"text": 2})


def test_a_deleted_version_comes_back_and_the_last_one_stays(filled, registry):
    assert filled.delete("m:v2") == ("m:v2",)
    assert kept(registry) == ["v3", "v1"]
    assert filled.suggest("m") == "v4"
    with pytest.raises(UnknownReference):
        registry.show("m:v2")
    with pytest.raises(UnknownReference):
        filled.delete("m:v2")
    filled.restore("m:v2")
    assert kept(registry) == ["v3", "v2", "v1"]
    with pytest.raises(NotInTrash):
        filled.restore("m:v2")
    filled.delete("m:v2")
    filled.delete("m:v3")
    with pytest.raises(LastVersion):
        filled.delete("m:v1")
    assert kept(registry) == ["v1"] and filled.counts().versions == 2


def test_a_deleted_model_goes_with_all_versions_and_its_name_is_kept_for_it(filled, registry, tmp_path):
    assert filled.delete("m", keep=False) == ("m:v1", "m:v2", "m:v3")
    assert names(filled, "医疗") == ["m"]
    filled.delete("m")
    assert (names(filled), names(filled, trash=True)) == (["客服-Model"], ["m"])
    with pytest.raises(UnknownReference):
        registry.show("m")
    with pytest.raises(InTrash):
        registry.register(write_run(tmp_path / "again", 7), name="m")
    with pytest.raises(InTrash):
        filled.edit("m", description="x")
    filled.restore("m")
    assert kept(registry) == ["v3", "v2", "v1"] and names(filled, "医疗") == ["m"]


def test_what_runs_is_not_deleted_unless_it_is_named(workspace, filled):
    with Models(workspace, in_use=lambda reference: ["run-7"] if reference == "m:v2" else []) as models:
        for reference in ("m:v2", "m"):
            with pytest.raises(VersionInUse) as said:
                models.delete(reference, force="yes")
            assert "run-7" in str(said.value)
        models.delete("m:v1")
        models.delete("m:v2", force="m:v2")


RACE = """
    import sys, time
    from pathlib import Path
    from mozhu.kernel.errors import LastVersion
    from mozhu.platform.catalog.models import Models
    with Models(Path(sys.argv[1])) as models:
        models.counts()
        print("ready", flush=True)
        while not Path(sys.argv[2]).exists():
            time.sleep(0.001)
        try:
            models.delete(sys.argv[3])
            print("deleted")
        except LastVersion:
            print("last")
"""


def test_of_three_who_delete_the_three_versions_at_once_one_is_refused(filled, registry, workspace, tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(RACE), str(workspace), str(tmp_path / "go")]
    processes = [
        subprocess.Popen([*command, f"m:v{number}"], stdout=subprocess.PIPE, text=True)
        for number in (1, 2, 3)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    told = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert told == ["deleted", "deleted", "last"]
    assert len(kept(registry)) == 1


def test_emptying_the_trash_takes_folders_and_rows_after_its_days(filled, registry, workspace):
    folders = [registry.resolve(name) for name in ("m:v2", "客服-Model:v1")]
    filled.delete("m:v2")
    filled.delete("客服-Model")
    assert filled.empty_trash(days=30) == ()
    later = datetime.now(timezone.utc) + timedelta(days=31)
    with Models(workspace, clock=lambda: later) as models:
        gone = ("m:v2", "客服-Model:v1")
        assert models.empty_trash(days=30, keep=False) == gone
        assert all(folder.is_dir() for folder in folders)
        assert models.empty_trash(days=30) == gone
    assert not any(folder.exists() for folder in folders)
    assert registry.rescan().gone == () and kept(registry) == ["v3", "v1"]
    assert names(filled, trash=True) == []


def test_aliases_lead_to_versions_and_protected_ones_stay(filled, registry):
    filled.set_alias("m:v1", "production", protected=True)
    filled.set_alias("m:v2", "试验")
    assert registry.show("m@production").chosen.label == "v1"
    assert registry.show("m@试验").chosen.label == "v2"
    with pytest.raises(ProtectedAlias):
        filled.set_alias("m:v3", "production")
    with pytest.raises(ProtectedAlias):
        filled.remove_alias("m", "production")
    filled.set_alias("m@latest", "production", force=True)
    assert [alias.reference for alias in filled.aliases("m")] == ["m:v3", "m:v2"]
    filled.delete("m@试验")
    assert [alias.name for alias in filled.aliases("m")] == ["production"]
    filled.remove_alias("m", "production", force=True)
    with pytest.raises(UnknownAlias):
        filled.remove_alias("m", "production")
    with pytest.raises(BadValue):
        filled.set_alias("m", "latest")


ANN, BOB = Subject("ann", ("vision",)), Subject("bob", ("speech",))


def test_who_may_not_read_sees_nothing_and_who_may_does_no_more_than_that(filled):
    def seen(subject: Subject) -> list[str]:
        return [item.name for item in filled.page(ModelQuery(), subject=subject).items]

    assert seen(ANN) == [] and filled.counts(subject=ANN).models == 0
    with pytest.raises(UnknownReference):
        filled.edit("m", subject=ANN, description="x")
    filled.share("m", "team:vision", "read")
    assert (seen(ANN), seen(BOB)) == (["m"], [])
    for change in (
        lambda: filled.edit("m", subject=ANN, description="x"),
        lambda: filled.delete("m", subject=ANN),
        lambda: filled.set_alias("m", "a", subject=ANN),
        lambda: filled.rate("m", 3, subject=ANN),
        lambda: filled.share("m", "user:bob", "manage", subject=ANN),
    ):
        with pytest.raises(NotAllowed):
            change()
    filled.share("m", "user:ann", "write")
    filled.edit("m", subject=ANN, description="读片")
    assert [item.description for item in filled.page(ModelQuery(search="读片"), subject=ANN).items] == [
        "读片"
    ]
    with pytest.raises(NotAllowed):
        filled.edit("m", subject=ANN, visibility="everyone")
    filled.share("m", "team:vision", None)
    filled.share("m", "user:ann", None)
    assert seen(ANN) == []
    filled.edit("m", visibility="everyone")
    filled.rate("m", 5, subject=BOB)
    filled.rate("m", 2, "慢", subject=ANN)
    filled.rate("m", 4, subject=ANN)
    assert filled.rating("m") == (4.5, 2)


def test_cards_bring_everything_back_after_the_database_was_lost(filled, registry):
    from test_rescan import drop

    filled.edit(
        "m", description="说明", licence="MIT", visibility="team", type="file", base_reference="starter:v1"
    )
    filled.set_notes("m:v1", "第一版")
    filled.set_alias("m:v1", "best", protected=True)
    filled.share("m", "user:ann", "write")
    filled.rate("m", 4, "好")
    filled.delete("m:v2")
    filled.delete("客服-Model")
    before = (filled.fingerprint(), registry.fingerprint(), filled.counts(), filled.page(ModelQuery()))
    filled.close()
    drop(registry)
    registry.rescan()
    assert (
        filled.fingerprint(),
        registry.fingerprint(),
        filled.counts(),
        filled.page(ModelQuery()),
    ) == before
    assert names(filled, "第一版") == ["m"] and names(filled, trash=True) == ["客服-Model"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a fork of itself")
def test_a_kill_between_the_card_and_the_commit_is_made_good(filled, registry, workspace):
    def killed(words: str) -> None:
        filled.close()
        registry.close()
        child = os.fork()
        if child == 0:
            with Models(workspace) as models:
                database = models.database
                database.writing = partial(_dies_before_its_commit, database.writing)  # type: ignore[method-assign]
                models.edit("m", description=words)
            os._exit(1)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        assert said() == before and findings() == [".cards/local/m.json"]

    def said() -> str:
        return str(filled.page(ModelQuery(search="m v3")).items[0].description)

    def findings(**how: bool) -> list[str]:
        return [one.digest for one in registry_fsck(workspace, FsckSpec(**how)).open_findings]

    before = ""
    killed("first")
    assert findings(repair=True) == findings() == [] and said() == ""
    killed("second")
    filled.edit("m", licence="MIT")
    assert findings() == [] and said() == ""
    killed("third")
    registry.rescan()
    assert findings() == [] and said() == "third", "a rescan knows the cards alone"
    same = (filled.fingerprint(), registry.fingerprint())
    registry.rescan()
    assert (filled.fingerprint(), registry.fingerprint()) == same


@contextmanager
def _dies_before_its_commit(writing, **how):  # type: ignore[no-untyped-def]
    with writing(**how) as session:
        yield session
        os.kill(os.getpid(), signal.SIGKILL)


def test_empty_notes_and_free_names_get_a_suggestion(filled, registry):
    for note in ("", "新版本", " Test ", "new version 2", "测试3", "v2", "最终版!"):
        assert says_nothing(note) or note == "v2", note
    for note in ("修正了挂号科室的回答", "lower learning rate", "8.31 perplexity"):
        assert not says_nothing(note), note
    found = {item.code: item for item in filled.advice("m:v1")}
    assert set(found) == {"model_name", "note"}
    assert found["model_name"].suggestion == "starter-medical_qa-lora-20261121"
    assert all(part in found["note"].suggestion for part in ("starter", "medical_qa:v3", "40", "8.31"))
    filled.set_notes("m:v1", found["note"].suggestion)
    assert [item.code for item in filled.advice("m:v1")] == ["model_name"]
    assert filled.suggest("m") == "v4" and filled.suggest("none") == "v1"


def test_tags_are_changed_and_a_rescan_keeps_them(filled, registry):
    filled.set_tags("m:v1", ["急诊", " er ", "急诊"])
    assert registry.version("m:v1").tags == ("急诊", "er") and registry.version("m:v2").tags == ("医疗", "qa")
    assert names(filled, tag="急诊") == names(filled, "急诊") == ["m"]
    before = (registry.fingerprint(), filled.cards_fingerprint())
    filled.set_notes("m:v2", "另一个说明")
    registry.rescan()
    assert registry.version("m:v1").tags == ("急诊", "er") and registry.version("m:v2").tags == ("医疗", "qa")
    filled.set_notes("m:v2", "")
    assert (registry.fingerprint(), filled.cards_fingerprint()) == before
    for wrong in ("", " ", "x" * 201):
        with pytest.raises(BadValue):
            filled.set_tags("m:v1", [wrong])
    with pytest.raises(NotAllowed):
        filled.share("m", "user:ann", "use")
        filled.set_tags("m:v1", ["x"], subject=Subject("ann"))


def test_a_list_can_be_of_one_team(filled):
    assert names(filled, team="local") == ["客服-Model", "m"] and names(filled, team="vision") == []


def test_contents_of_the_trash_are_still_in_use(filled, registry):
    contents = dict(filled.contents_in_use())
    filled.delete("m:v1")
    assert dict(filled.contents_in_use()) == contents and "m:v1" in contents.values()


def certificate(folder: Path, own: str, *made_from: tuple[str, str]) -> None:
    """A passing one that says whose weights these are and what they were made from."""
    manifest = make_manifest(folder)
    manifest.write(folder / "manifest.json")
    parts = [{"role": role, "fingerprint": f"sha256:{made * 64}"} for role, made in made_from]
    prints = {"whole": f"sha256:{own * 64}"}
    record = sealed(kind_of(folder), manifest.files)
    record.model_copy(update={"made_from": parts, "fingerprint": prints}).sealed().write(
        folder / "certificate.json"
    )


def chain(family) -> list[str]:  # type: ignore[no-untyped-def]
    return [node.reference for node in family.nodes if node.kind not in ("weights", "model")]


def test_the_family_goes_from_a_row_of_data_to_the_answer_and_back(registry, models, tmp_path):
    run = write_run(tmp_path / "run")
    certificate(run / "lora_adapter", "b", ("base", "a"))
    merged, gguf = write_model(tmp_path / "merged"), write_gguf(tmp_path / "gguf" / "m.gguf").parent
    certificate(merged, "c", ("base", "a"), ("adapter", "b"))
    certificate(gguf, "d", ("source", "c"))
    for folder, name in ((gguf, "gguf"), (merged, "merged"), (run, "adapter")):
        registry.register(folder, name=name)
    answer, endpoint = Node("answer", "a-1"), Node("endpoint", "e-1")
    models.connect([Edge(Node("version", "gguf:v1"), endpoint, "serves"), Edge(endpoint, answer, "gave")])
    whole = ["medical_qa:v3", "adapter:v1", "gguf:v1", "merged:v1", "starter-medical-lora-20261121"]
    for start in ("adapter", "merged:v1", "gguf@latest"):
        found = set(chain(models.family(start)))
        assert found == {*whole, "e-1", "a-1", "starter:v1"}, start
    row = models.family("medical_qa:v3#118")
    assert {*whole, "e-1", "a-1", "medical_qa:v3#118"} == set(chain(row))
    assert "medical_qa:v3" in chain(models.family("answer://a-1"))
    before = models.family("merged:v1")
    registry.rescan()
    assert models.family("merged:v1") == before and "gguf:v1" in chain(models.family("answer://a-1"))
