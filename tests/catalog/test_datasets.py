"""What a person relies on when a data set is registered."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest
from registry_artefacts import write_run
from registry_snapshots import prepare, write_raw, write_snapshot

from mozhu.engine.data.dataset import load_rows
from mozhu.kernel.errors import (
    BadName,
    DamagedSnapshot,
    DatasetFailed,
    MissingFile,
    NotPrepared,
    PlaceTaken,
    UnknownDatasetVersion,
    UnknownRow,
    VersionTaken,
)
from mozhu.kernel.texts import LANGUAGES, set_language
from mozhu.platform.catalog.datasets.service import Datasets, find_dataset
from mozhu.platform.catalog.service import Registry


@pytest.fixture
def datasets(workspace):  # type: ignore[no-untyped-def]
    with Datasets(workspace) as opened:
        yield opened


def rows_of(folder: Path) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for path in sorted(folder.glob("*_t*.jsonl")) for line in path.open()]


def test_a_snapshot_becomes_a_ready_version_with_size_and_records(datasets, tmp_path):
    done = datasets.register(write_snapshot(tmp_path / "s"), tags=("medical", "zh"), description="一句说明")
    version = done.version
    assert (version.reference, version.state, version.path) == (
        "medical_qa:v1",
        "ready",
        "datasets/medical_qa/v1",
    )
    assert (version.row_count, version.rejected_count, list(version.parts)) == (
        20,
        1,
        ["train", "validation", "test"],
    )
    folder = datasets.resolve("medical_qa:v1")
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.md",
        "medical_qa_test.jsonl",
        "medical_qa_train.jsonl",
        "medical_qa_validation.jsonl",
        "registration.json",
        "rejected.jsonl",
        "snapshot.json",
    ]
    told = sum(path.stat().st_size for path in folder.iterdir() if path.name != "registration.json")
    assert version.size_bytes == told
    assert datasets.validate("medical_qa").is_whole
    shown = datasets.show("medical_qa")
    assert shown.recipe["sources"][0]["sha256"].startswith("sha256:")
    assert shown.recipe["settings"]["seed"] == 42
    assert [(line.what, line.version) for line in shown.history] == [("version.registered", "v1")]
    assert (shown.chosen.tags, shown.chosen.description) == (("medical", "zh"), "一句说明")


def test_the_same_content_is_the_same_version_whatever_its_names_times_and_language(
    datasets, tmp_path, monkeypatch, files_of
):
    first = datasets.register(write_snapshot(tmp_path / "a")).version
    before, print_before = files_of(datasets.models / "datasets"), datasets.fingerprint()
    set_language("zh")
    try:
        other = write_snapshot(tmp_path / "b", name="another_name")
    finally:
        set_language(None)
    again = datasets.register(other, name="medical_qa")
    assert again.already and again.version == first
    assert (files_of(datasets.models / "datasets"), datasets.fingerprint()) == (before, print_before)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"rows": 21}, {"template": "none"}, {"train_share": 0.6, "test_share": 0.3}]
)
def test_other_rows_or_another_recipe_are_another_version(datasets, tmp_path, change):
    datasets.register(write_snapshot(tmp_path / "a"))
    assert datasets.register(write_snapshot(tmp_path / "b", **change)).version.label == "v2"


def test_versions_count_on_in_the_style_of_the_last_one_and_a_taken_one_is_refused(datasets, tmp_path):
    labels = []
    for seed, version in enumerate([None, None, "v1.0.0", None, "v2_clean", None]):
        folder = write_snapshot(tmp_path / str(seed), seed=seed)
        labels.append(datasets.register(folder, version=version).version.label)
    assert labels == ["v1", "v2", "v1.0.0", "v1.0.1", "v2_clean", "v3_clean"]
    with pytest.raises(VersionTaken):
        datasets.register(write_snapshot(tmp_path / "x", seed=9), version="v2")
    assert datasets.list_datasets()[0].version_count == 6


def test_raw_data_is_refused_with_the_command_that_prepares_it(datasets, tmp_path):
    raw = write_raw(tmp_path / "raw" / "faq.json")
    for place in (raw, raw.parent):
        with pytest.raises(NotPrepared) as refused:
            datasets.register(place)
        assert "mozhu data prepare --input" in str(refused.value) and "--register_as" in str(refused.value)
    folder = write_snapshot(tmp_path / "s")
    with pytest.raises(NotPrepared) as refused:
        datasets.register(folder / "medical_qa_train.jsonl")
    assert f'mozhu datasets register "{folder}"' in str(refused.value)
    with pytest.raises(MissingFile):
        datasets.register(tmp_path / "nowhere")
    assert not (datasets.models / "datasets").exists()


def test_names_that_would_read_as_references_or_paths_are_refused(datasets, tmp_path):
    folder = write_snapshot(tmp_path / "s")
    for name in ("a:b", "a@b", "a#1", "../out", "sample", "starter"):
        with pytest.raises(BadName):
            datasets.register(folder, name=name)
    with pytest.raises(BadName):
        datasets.register(folder, version="v1#2")


def test_a_damaged_snapshot_is_refused_with_every_problem(datasets, tmp_path):
    folder = write_snapshot(tmp_path / "s")
    train = folder / "medical_qa_train.jsonl"
    train.write_bytes(train.read_bytes().replace("挂号".encode(), "挂好".encode(), 1))
    (folder / "medical_qa_test.jsonl").unlink()
    with pytest.raises(DamagedSnapshot) as refused:
        datasets.register(folder)
    assert "medical_qa_train.jsonl" in str(refused.value) and "medical_qa_test.jsonl" in str(refused.value)
    assert not (datasets.models / "datasets").exists()


def test_a_changed_byte_in_any_file_is_found_and_the_version_fails_until_it_is_put_back(datasets, tmp_path):
    folder = datasets.models / datasets.register(write_snapshot(tmp_path / "s"), copy=True).version.path
    random.seed(7)
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        for place in {0, len(content) - 1, *(random.randrange(len(content)) for _ in range(12))}:
            changed = bytearray(content)
            changed[place] ^= 1
            path.chmod(0o640)
            path.write_bytes(bytes(changed))
            report = datasets.validate("medical_qa:v1")
            assert not report.is_whole, (path.name, place)
            assert path.name in {problem.file for problem in report.problems}
            assert report.state == "failed" and report.exit_code == 3
        path.write_bytes(content)
        assert datasets.validate("medical_qa:v1").state == "ready"


def test_a_failed_version_is_not_read_and_every_problem_is_listed(datasets, workspace, tmp_path):
    folder = datasets.models / datasets.register(write_snapshot(tmp_path / "s"), copy=True).version.path
    for name in ("card.md", "medical_qa_test.jsonl"):
        (folder / name).unlink()
    (folder / "medical_qa_train.jsonl").chmod(0o640)
    (folder / "medical_qa_train.jsonl").write_text("{}\n")
    report = datasets.validate("medical_qa:v1")
    assert {problem.file for problem in report.problems} == {
        "card.md",
        "medical_qa_test.jsonl",
        "medical_qa_train.jsonl",
    }
    for lang in LANGUAGES:
        set_language(lang)
        try:
            assert all("{" not in problem.line() for problem in report.problems)
        finally:
            set_language(None)
    with pytest.raises(DatasetFailed):
        find_dataset(workspace, "medical_qa")
    assert [view.newest.state for view in datasets.list_datasets(state="failed")] == ["failed"]
    assert datasets.list_datasets(state="ready") == []
    assert [line.what for line in datasets.show("medical_qa").history] == [
        "version.damaged",
        "version.registered",
    ]
    assert datasets.register(tmp_path / "s").version.reference == "medical_qa:v2"


def test_the_list_by_state_shows_the_newest_version_in_it(datasets, tmp_path):
    datasets.register(write_snapshot(tmp_path / "a"))
    second = datasets.register(write_snapshot(tmp_path / "b", seed=1), copy=True).version
    (datasets.models / second.path / "card.md").unlink()
    datasets.validate("medical_qa:v2")
    assert [view.newest.label for view in datasets.list_datasets()] == ["v2"]
    assert [view.newest.label for view in datasets.list_datasets(state="ready")] == ["v1"]


def test_search_finds_parts_of_names_and_tags_in_chinese_too(datasets, tmp_path):
    datasets.register(write_snapshot(tmp_path / "a"), name="alpha", tags=("医疗",))
    datasets.register(write_snapshot(tmp_path / "b", seed=1), name="beta", description="100% sure")

    def found(search: str) -> list[str]:
        return [view.name for view in datasets.list_datasets(search)]

    assert found("ALPH") == ["alpha"] and found("疗") == ["alpha"] and found("0%") == ["beta"]
    assert found("nothing") == [] and found("%") == ["beta"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX rights")
def test_parts_are_links_and_nothing_can_be_written_to(datasets, tmp_path):
    source = write_snapshot(tmp_path / "s")
    folder = datasets.models / datasets.register(source).version.path
    train = folder / "medical_qa_train.jsonl"
    assert train.stat().st_ino == (source / train.name).stat().st_ino
    assert all(path.stat().st_mode & 0o222 == 0 for path in folder.iterdir())
    assert (folder / "card.md").stat().st_mode & 0o777 == 0o440
    copied = datasets.models / datasets.register(source, name="copied", copy=True).version.path
    assert (copied / train.name).stat().st_ino != train.stat().st_ino


def test_a_version_outlives_its_folder_and_a_new_preparation_in_it(datasets, tmp_path):
    source = write_snapshot(tmp_path / "s")
    datasets.register(source)
    write_snapshot(tmp_path / "s", seed=5)
    assert datasets.validate("medical_qa:v1").is_whole
    assert datasets.register(source).version.label == "v2"
    shutil.rmtree(source)
    assert datasets.validate("medical_qa:v1").is_whole and datasets.validate("medical_qa:v2").is_whole


def test_rows_read_from_a_version_bear_its_name_and_lead_back_to_their_line(datasets, tmp_path):
    datasets.register(write_snapshot(tmp_path / "s"))
    folder = datasets.resolve("medical_qa")
    ids = []
    for part in ("train", "validation", "test"):
        for row in load_rows(str(folder), part=part).rows:
            ids.append(row["row_id"])
            found = datasets.row("medical_qa:v1", row["row_id"])
            assert (found.part, found.source) == (part, row["source"])
            assert found.row["messages"] == row["messages"]
            number = row["row_id"].rpartition("#")[2]
            assert datasets.row("medical_qa", number).row_id == row["row_id"] == f"medical_qa:v1#{number}"
            raw = json.loads((tmp_path / "s-raw" / "raw.json").read_text(encoding="utf-8"))
            assert raw[int(number) - 1]["output"] == row["messages"][-1]["content"]
    assert len(set(ids)) == 20
    by_file = load_rows(str(folder / "medical_qa_train.jsonl")).rows
    assert [row["row_id"] for row in by_file] == ids[: len(by_file)]
    assert {row["row_id"].partition("#")[0] for row in rows_of(folder)} == {"medical_qa"}
    with pytest.raises(UnknownRow):
        datasets.row("medical_qa", "999")


def test_rows_of_several_origins_keep_ids_that_are_unique(datasets, tmp_path):
    """Two prepared files hold rows of the same numbers: the whole id then follows the version's name."""
    for seed in (0, 1):
        write_snapshot(
            tmp_path / f"s{seed}",
            seed=seed,
            name=f"set{seed}",
            train_share=1.0,
            validation_share=0,
            test_share=0,
        )
    both = tmp_path / "both.jsonl"
    parts = [tmp_path / f"s{seed}" / f"set{seed}_train.jsonl" for seed in (0, 1)]
    both.write_bytes(b"".join(path.read_bytes() for path in parts))
    mixed = tmp_path / "mixed"
    prepare(both, mixed, "mixed")
    datasets.register(mixed)
    ids = [row["row_id"] for row in load_rows(str(datasets.resolve("mixed"))).rows]
    assert len(set(ids)) == len(ids) and "mixed:v1#set0#3" in ids
    assert datasets.row("mixed", "set1#3").row_id == "mixed:v1#set1#3"


def test_references_name_versions_and_leave_other_words_alone(datasets, workspace, tmp_path, monkeypatch):
    datasets.register(write_snapshot(tmp_path / "a"))
    datasets.register(write_snapshot(tmp_path / "b", seed=1))
    home = datasets.models / "datasets" / "medical_qa"
    assert find_dataset(workspace, "medical_qa:v1") == home / "v1"
    assert (
        find_dataset(workspace, "medical_qa") == find_dataset(workspace, "medical_qa@latest") == home / "v2"
    )
    assert find_dataset(workspace, "medical_qa:v1#5") == home / "v1#5"
    assert len(load_rows(str(home / "v1#5")).rows) == 5
    for other in ("sample", "owner/name:subset#5", "data.jsonl", "", "medical", "C:\\x"):
        assert find_dataset(workspace, other) is None
    with pytest.raises(UnknownDatasetVersion) as unknown:
        find_dataset(workspace, "medical_qa:v9")
    assert "medical_qa:v2" in str(unknown.value)
    with pytest.raises(UnknownDatasetVersion) as unknown:
        datasets.show("medcal_qa")
    assert "medical_qa" in str(unknown.value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "medical_qa").mkdir()
    assert find_dataset(workspace, "medical_qa") is None


def test_a_model_and_a_data_set_may_bear_the_same_name(datasets, workspace, tmp_path):
    with Registry(workspace) as registry:
        registry.register(write_run(tmp_path / "run"), name="medical_qa")
        datasets.register(write_snapshot(tmp_path / "s"))
        assert len(registry.show("medical_qa").history) == len(datasets.show("medical_qa").history) == 1
        assert registry.resolve("medical_qa").parent.parent.name == "lora"
        assert datasets.resolve("medical_qa").parent.parent.name == "datasets"
        registry.rescan()
        assert len(registry.list_models()) == len(datasets.list_datasets()) == 1


def test_a_version_names_the_models_that_were_trained_on_it(datasets, workspace, tmp_path):
    for seed in range(3):
        datasets.register(write_snapshot(tmp_path / f"s{seed}", seed=seed))
    with Registry(workspace) as registry:
        registry.register(write_run(tmp_path / "run"), name="m")  # its run's inputs say medical_qa:v3
    assert datasets.show("medical_qa:v3").used_by == ("m:v1",)
    assert datasets.show("medical_qa:v1").used_by == ()


def test_rows_are_the_same_after_the_database_was_lost(datasets, workspace, tmp_path):
    for seed in range(3):
        datasets.register(write_snapshot(tmp_path / f"s{seed}", seed=seed), tags=("医疗",))
    datasets.register(write_snapshot(tmp_path / "other", seed=9), name="other", version="free name")
    (datasets.models / "datasets" / "medical_qa" / "v2" / "card.md").unlink()
    datasets.validate("medical_qa:v2")
    before, listed = datasets.fingerprint(), datasets.list_datasets()
    datasets.close()
    for path in datasets.models.glob("catalog.db*"):
        path.unlink()
    with Registry(workspace) as registry:
        report = registry.rescan()
        assert (report.datasets.datasets, report.datasets.versions) == (2, 4)
        assert report.datasets.failed == ("medical_qa:v2",) and report.models == 0
        assert (datasets.fingerprint(), datasets.list_datasets()) == (before, listed)
        again = registry.rescan().datasets
        assert (again.added, again.gone) == ((), ())
    assert datasets.fingerprint() == before


def test_a_rescan_names_what_it_cannot_take(datasets, workspace, tmp_path):
    first = datasets.models / datasets.register(write_snapshot(tmp_path / "a")).version.path
    second = datasets.models / datasets.register(write_snapshot(tmp_path / "b", seed=1)).version.path
    shutil.copytree(first, first.parent / "copy")
    shutil.copytree(tmp_path / "a", first.parent / "by_hand")
    (second / "registration.json").chmod(0o640)
    (second / "registration.json").write_text("{", encoding="utf-8")
    with Registry(workspace) as registry:
        report = registry.rescan()
    assert {Path(refused.path).name for refused in report.refused} == {"by_hand", "copy", "v2"}
    assert report.datasets.gone == ("medical_qa:v2",)
    assert any("mozhu datasets register" in refused.reason for refused in report.refused)


def test_a_left_over_folder_of_other_content_is_passed_by(datasets, tmp_path, files_of):
    left = write_snapshot(datasets.models / "datasets" / "medical_qa" / "v1", seed=4)
    before = files_of(left)
    with pytest.raises(PlaceTaken):
        datasets.register(write_snapshot(tmp_path / "s"), version="v1")
    assert datasets.register(tmp_path / "s").version.label == "v2"
    assert files_of(left) == before


def test_reading_an_empty_workspace_makes_nothing(datasets, workspace, tmp_path):
    assert datasets.list_datasets() == [] and find_dataset(workspace, "medical_qa:v1") is None
    assert datasets.validate(write_snapshot(tmp_path / "s")).is_whole
    with pytest.raises(UnknownDatasetVersion):
        datasets.show("medical_qa")
    assert not (workspace / "5_models").exists()


def test_views_travel_as_json(datasets, tmp_path):
    done = datasets.register(write_snapshot(tmp_path / "s"))
    shown = (done, datasets.show("medical_qa"), datasets.list_datasets()[0], datasets.validate("medical_qa"))
    assert all(json.dumps(view.to_json()) for view in (*shown, datasets.row("medical_qa", "1")))
