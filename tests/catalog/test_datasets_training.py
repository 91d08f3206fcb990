"""A batch can be traced to its rows: from raw file to version, run, model version and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from registry_snapshots import write_raw, write_snapshot

from mozhu import api
from mozhu.kernel.errors import BadName, UnknownDatasetVersion
from mozhu.kernel.paths import Workspace
from mozhu.references import with_references
from mozhu.specs.data import CheckSpec, PrepareSpec
from mozhu.specs.evaluate import EvaluateSpec
from mozhu.specs.train import TrainSpec
from mozhu.testing import make_tiny_model
from mozhu.workspace.places import training_folder


@pytest.fixture
def engine() -> str:
    """Training asks files, not the database: one engine is enough here."""
    return "sqlite"


@pytest.fixture
def home(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MOZHU_WORKSPACE", str(workspace))
    monkeypatch.chdir(workspace)
    return Workspace(workspace)


def test_a_training_batch_leads_to_the_line_of_the_raw_file(home, tmp_path):
    raw = write_raw(home.root / "raw.json", rows=20)
    api.prepare(
        input=str(raw),
        output_dir="data/m",
        output_name="medical_qa",
        max_rejected_share=0.5,
        register_as="medical_qa",
        quiet=True,
    )
    model = make_tiny_model(tmp_path / "tiny", "qwen2")
    run = api.train(
        model=str(model),
        dataset="medical_qa:v1",
        output_dir="6_output/traced",
        max_steps=3,
        batch_size=2,
        max_length=256,
        device="cpu",
        quiet=True,
    )
    batches = [event["rows"] for event in run.events() if event["kind"] == "step" and event.get("rows")]
    assert len(batches) == 3
    values = json.loads(raw.read_text(encoding="utf-8"))
    for row_id in (row_id for batch in batches for row_id in batch):
        found = api.datasets_show("medical_qa:v1", row=row_id)
        assert (found.row_id, found.part, found.source["file"]) == (row_id, "train", "raw.json")
        number = int(row_id.removeprefix("medical_qa:v1#"))
        assert values[number - 1]["instruction"] == found.row["messages"][0]["content"]
    version = api.datasets_show("medical_qa:v1").chosen
    spec = json.loads((run.folder / "spec.json").read_text(encoding="utf-8"))
    assert spec["inputs"] == [
        {"role": "data", "ref": "medical_qa:v1", "fingerprint": None, "sha256": version.content}
    ]
    done = api.register(run.folder, name="m")
    assert done.version.training_dataset == "medical_qa:v1"
    assert api.datasets_show("medical_qa").used_by == ("m:v1",)


def test_the_validation_part_of_a_version_is_its_validation_and_is_never_trained_on(home, tmp_path):
    api.datasets_register(write_snapshot(tmp_path / "s"))
    folder = str(home.models / "datasets" / "medical_qa" / "v1")
    spec = with_references(TrainSpec(model="m", dataset="medical_qa"), home)
    assert (spec.dataset, spec.val_dataset) == (folder, folder)
    plan = api.forecast(
        model=str(make_tiny_model(tmp_path / "tiny", "qwen2")), dataset="medical_qa@latest", max_length=64
    )
    parts = api.datasets_show("medical_qa").chosen.parts
    assert (plan.rows, plan.validation_rows) == (parts["train"]["rows"], parts["validation"]["rows"])
    without = with_references(TrainSpec(model="m", dataset="medical_qa", validation_split=0), home)
    other = with_references(TrainSpec(model="m", dataset="medical_qa", val_dataset="sample"), home)
    assert (without.val_dataset, other.val_dataset) == (None, "sample")


def test_references_work_wherever_data_is_asked_for(home, tmp_path):
    for seed in range(2):
        api.datasets_register(write_snapshot(tmp_path / f"s{seed}", seed=seed))
    room = home.models / "datasets" / "medical_qa"
    specs = [
        (TrainSpec(model="m", dataset="medical_qa:v1", val_dataset="medical_qa"), ("dataset", "val_dataset")),
        (
            EvaluateSpec(checkpoint="c", test_data="medical_qa:v1", train_data="medical_qa@latest"),
            ("test_data", "train_data"),
        ),
        (CheckSpec(dataset="medical_qa:v1"), ("dataset",)),
        (PrepareSpec(input="medical_qa:v1#5"), ("input",)),
    ]
    for spec, names in specs:
        found = with_references(spec, home)
        wanted = [str(room / ("v1" if "v1" in getattr(spec, name) else "v2")) for name in names]
        got = [getattr(found, name).removesuffix("#5") for name in names]
        assert got == wanted, spec.verb
    checked = with_references(CheckSpec(dataset="sample", against=("medical_qa", "plain.jsonl")), home)
    assert (checked.dataset, checked.against) == ("sample", (str(room / "v2"), "plain.jsonl"))
    assert api.check("medical_qa:v1").rows == {"train": 16, "validation": 2, "test": 2}
    with pytest.raises(UnknownDatasetVersion):
        api.check("medical_qa:v7")


def test_a_name_of_the_settings_means_what_they_say(home, tmp_path):
    api.datasets_register(write_snapshot(tmp_path / "s"))
    settings = {"datasets": {"medical_qa": {"path": "sample"}}}
    (home.configs / "1_model_config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert with_references(CheckSpec(dataset="medical_qa"), home).dataset == "medical_qa"


def test_a_run_folder_is_named_after_the_data_set_and_not_after_its_version(home, tmp_path):
    api.datasets_register(write_snapshot(tmp_path / "s"))
    spec = with_references(TrainSpec(model="starter", dataset="medical_qa:v1"), home)
    assert training_folder(spec, home).name.startswith("starter-medical_qa-lora-")


def test_a_run_that_prepares_is_registered_by_its_folder_and_a_bad_name_stops_it_first(home):
    write_raw(home.root / "raw.json")
    with pytest.raises(BadName):
        api.prepare(input="raw.json", register_as="a:b", quiet=True)
    assert not (home.root / "data").exists() and not home.output.exists()
    run = api.prepare(input="raw.json", output_name="faq", max_rejected_share=0.5, quiet=True)
    assert api.datasets_register(run.folder).version.reference == "faq:v1"
    assert api.datasets_list(state="ready")[0].newest.row_count == 20
    assert api.datasets_validate("faq:v1").is_whole
