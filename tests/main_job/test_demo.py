"""``mozhu demo``: the whole job in one go, without a network, twice without a change, and with a model and rows."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from job import Place, check_self_contained, pattern_rows, times

from mozhu.kernel.files import read_json

pytestmark = pytest.mark.slow
STAGES = ["data", "prepare", "forecast", "train", "evaluate", "merge", "convert", "register", "ask", "faults"]


def without_network() -> list[str]:
    """The command that runs another one without a network, where this machine lets us."""
    if (
        shutil.which("unshare")
        and not subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode
    ):
        return ["unshare", "-n"]
    return []


def check_story(place: Place, story: dict[str, Any]) -> Path:
    """All ten stages, both faults refused, four answers of which three are one, three registered versions."""
    assert [stage["name"] for stage in story["stages"]] == STAGES
    assert all(stage["made"] and stage["seconds"] >= 0 for stage in story["stages"])
    for stage in story["stages"]:
        assert stage["place"] == "-" or Path(stage["place"]).exists(), stage
    assert [fault["name"] for fault in story["faults"]] == ["changed_eos", "no_effect"]
    assert all(fault["refused"] and fault["why"] for fault in story["faults"])
    assert story["faults"][1]["code"] == "EXPORT-003"
    assert set(story["answers"]) == {"base", "adapter", "merged", "gguf"}
    assert story["answers"]["adapter"] == story["answers"]["merged"] != story["answers"]["base"]
    assert len(story["versions"]) == 3
    listed = place.done("registry", "list", "--json").json()["items"]
    assert [(model["version_count"], model["newest"]["state"]) for model in listed] == [(3, "ready")]
    folder = Path(story["folder"])
    page = check_self_contained(folder / "report.html")
    assert "<polyline" in page or "<path" in page
    assert not [path for path in folder.iterdir() if path.name.startswith("tmp")], (
        "the faulty copies are gone"
    )
    return folder


def test_the_demo_ends_well_in_one_go_and_is_done_the_second_time(place: Place) -> None:
    wrapper = without_network()
    first = place.done("demo", "--json", wrapper=wrapper)
    folder = check_story(place, first.json())
    losses = [event["loss"] for event in _events(folder / "train") if event["kind"] == "step"]
    assert losses[-1] < 0.3 * losses[0]
    before = times(place.root)
    second = place.done("demo", "--json", wrapper=wrapper)
    assert second.json() == first.json()
    assert times(place.root) == before
    table = place.done("demo", wrapper=wrapper, language="zh")
    assert "report.html" in table.out + table.err and "mozhu infer --checkpoint" in table.out + table.err
    assert times(place.root) == before


def test_the_demo_takes_a_model_and_rows_of_ones_own(place: Place, base: Path) -> None:
    """A folder in the manner of the hub and a file of rows; speed and memory are in the report."""
    place.write_rows("mine.json", [*pattern_rows(30), {"instruction": "q"}])
    said = place.done("demo", "--model", base, "--dataset", "mine.json", "--json", wrapper=without_network())
    story = said.json()
    folder = check_story(place, story)
    assert story["metrics"]["rows"]["rejected_rows"] == 1
    trained = story["metrics"]["train"]
    assert trained["tokens_per_s"] > 0 and trained["peak_memory_bytes"] > 100 << 20
    assert trained["device"] and story["metrics"]["forecast"]["peak_memory_bytes"] > 0
    assert (Path(story["stages"][0]["place"])) == place.path("mine.json")
    assert read_json(place.path("mine.json"))[-1] == {"instruction": "q"}, "the rows are read, not changed"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{trained['tokens_per_s']:,.0f}" in page, "tokens a second"
    # a demo on the starter beside it has a folder of its own
    assert folder.name.startswith("demo-") and not place.path("6_output/demo").exists()


def _events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
