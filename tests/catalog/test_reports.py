"""The report of a run stays with the version that it is about: listed, read back, copied, and there after a rescan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_artefacts import write_adapter, write_run

from mozhu.app import Composition, compose
from mozhu.kernel.errors import BadValue, MissingFile, NotAllowed, UnknownReference, UnknownReport
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.reports import Told, demand_report, report_of_run
from mozhu.platform.catalog.room import settings_of
from mozhu.platform.uploads.upkeep import registry_fsck, registry_gc
from mozhu.specs.records.result import Metric, Result
from mozhu.specs.records.run import RunSpec
from mozhu.specs.registry import FsckSpec, GcSpec

ANN = Subject("ann")
PAGE = "<h1>训练</h1><svg></svg>".encode()


@pytest.fixture
def services(workspace: Path, tmp_path: Path) -> Iterator[Composition]:
    """``m:v1`` out of a run with a page, ``m:v2`` out of nothing."""
    composition = compose(workspace, settings_of(workspace / "5_models"))
    run = write_run(tmp_path / "run")
    (run / "report.html").write_bytes(PAGE)
    composition.registry.register(run, name="m")
    composition.registry.register(write_adapter(tmp_path / "b", seed=1), name="m")
    yield composition
    composition.close()


def evaluation(folder: Path) -> Path:
    folder.mkdir()
    RunSpec(
        verb="evaluate", run="eval-1", created="2026-11-22T08:00:00.000Z", fields={}, origins={}, inputs=[]
    ).write(folder / "spec.json")
    Result(state="succeeded", metrics={"bleu": Metric(value=0.75, n=20)}).write(folder / "result.json")
    (folder / "report.html").write_text("<p>评估</p>", encoding="utf-8")
    return folder


def test_a_registered_run_brings_its_report_and_an_evaluation_is_attached(
    services: Composition, tmp_path: Path
) -> None:
    reports = services.reports
    (first,) = reports.page(of="m:v1").items
    assert (first.kind, first.run, first.reference) == ("training", "starter-medical-lora-20261121", "m:v1")
    assert first.metrics["perplexity"]["value"] == 8.31 and first.metrics["bleu"]["value"] == "nan"
    assert b"".join(reports.html(first)) == PAGE
    assert reports.page(of="m:v2").items == ()
    told = demand_report(evaluation(tmp_path / "eval"))
    second = reports.attach("m:v1", told)
    assert reports.attach("m@latest", told).reference == "m:v2"
    assert reports.attach("m:v1", told) == second and len(reports.page(of="m:v1").items) == 2
    assert second.metrics["bleu"] == {**second.metrics["bleu"], "value": 0.75, "n": 20}
    seen, after = [], None
    while True:
        page = reports.page(limit=1, after=after)
        seen += [(item.reference, item.kind) for item in page.items]
        after = page.next
        if after is None:
            break
    assert sorted(seen) == [("m:v1", "evaluation"), ("m:v1", "training"), ("m:v2", "evaluation")]
    assert [item.reference for item in reports.page().items][-1] == "m:v1"
    (tmp_path / "eval" / "report.html").unlink()
    assert report_of_run(tmp_path / "eval") is None
    with pytest.raises(MissingFile):
        demand_report(tmp_path / "eval")
    for wrong in (Told("other", b"x", "", {}), Told("training", b"", "", {})):  # type: ignore[arg-type]
        with pytest.raises(BadValue):
            reports.attach("m:v1", wrong)


def test_rights_follow_the_version(services: Composition) -> None:
    reports, told = services.reports, Told("evaluation", b"<p>", "", {})
    (first,) = reports.page(of="m:v1").items
    assert reports.page(subject=ANN).items == ()
    for asked in (
        lambda: reports.page(of="m:v1", subject=ANN),
        lambda: reports.find("m:v1", first.sha256, subject=ANN),
        lambda: reports.attach("m:v1", told, subject=ANN),
    ):
        with pytest.raises(UnknownReference):
            asked()
    services.models.share("m", "user:ann", "read")
    assert reports.find("m:v1", first.sha256, subject=ANN) == first
    with pytest.raises(NotAllowed):
        reports.attach("m:v1", told, subject=ANN)
    with pytest.raises(NotAllowed):
        reports.remove("m:v1", first.sha256, subject=ANN)
    with pytest.raises(UnknownReport):
        reports.find("m:v2", first.sha256, subject=ANN)
    services.models.delete("m:v1")
    assert reports.page().items == ()


def test_a_page_is_held_by_its_report_and_comes_back_after_a_rescan(services: Composition) -> None:
    reports, registry = services.reports, services.registry
    root = registry.models.parent
    (first,) = reports.page(of="m:v1").items
    services.models.copy("m:v1", "mine")
    listed = [reports.page(of=name).items for name in ("m:v1", "m:v2", "mine:v1")]
    before = services.models.fingerprint()
    registry.rescan()
    assert services.models.fingerprint() == before
    assert [reports.page(of=name).items for name in ("m:v1", "m:v2", "mine:v1")] == listed
    registry_gc(root, GcSpec(grace_hours=0))
    assert registry_fsck(root, FsckSpec(grace_hours=0)).findings == ()
    reports.remove("m:v1", first.sha256)
    registry_gc(root, GcSpec(grace_hours=0))
    (copied,) = reports.page(of="mine:v1").items
    assert b"".join(reports.html(copied)) == PAGE and reports.page(of="m:v1").items == ()
    services.models.delete("mine")
    services.models.empty_trash(days=0)
    registry_gc(root, GcSpec(grace_hours=0))
    assert registry.store.stat(first.sha256) is None
