"""A copy of a model or a data set is the copier's own: whole when the origin is gone, and no byte more on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_artefacts import write_adapter, write_run
from registry_snapshots import write_snapshot

from mozhu.app import Composition, compose
from mozhu.kernel.errors import BadValue, NameTaken, NotAllowed, UnknownReference
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.downloads import files_of
from mozhu.platform.catalog.room import settings_of
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.platform.uploads.upkeep import registry_fsck, registry_gc
from mozhu.specs.registry import FsckSpec, GcSpec

BOB, CID, EVE = Subject("bob", ("vision",)), Subject("cid", ("vision",)), Subject("eve")


@pytest.fixture
def services(workspace: Path) -> Iterator[Composition]:
    composition = compose(workspace, settings_of(workspace / "5_models"))
    yield composition
    composition.close()


def parents(services: Composition, of: str) -> list[tuple[str, str]]:
    """What a version came from directly, and how."""
    edges = services.models.family(of).edges
    return [(edge.source.reference, edge.relation) for edge in edges if edge.target.reference in of]


def test_a_copied_model_is_whole_when_its_origin_is_gone(services: Composition, tmp_path: Path) -> None:
    models, registry = services.models, services.registry
    first = registry.register(write_run(tmp_path / "run"), name="m", tags=("医疗",)).version
    registry.register(write_adapter(tmp_path / "b", seed=1), name="m")
    models.edit("m", description="读片", licence="mit")
    models.set_notes("m:v1", "第一版")
    blobs = {blob.digest for blob in registry.store.list()}
    with pytest.raises(UnknownReference):
        models.copy("m", "mine", subject=BOB)
    models.share("m", "user:bob", "read")
    with pytest.raises(NotAllowed):
        models.copy("m", "mine", subject=BOB)
    models.share("m", "user:bob", "use")
    assert models.copy("m", "mine", team="vision", subject=BOB) == ("mine:v1", "mine:v2")
    with pytest.raises(NameTaken):
        models.copy("m", "mine", subject=BOB)
    with pytest.raises(BadValue):
        models.copy("m", "other", team="speech", subject=BOB)
    assert {blob.digest for blob in registry.store.list()} == blobs
    weights = "adapter_model.safetensors"
    inodes = {(registry.resolve(name) / weights).stat().st_ino for name in ("m:v1", "mine:v1")}
    assert len(inodes) == 1, "the weights lie on the disk once"
    copied = registry.show("mine:v1")
    assert (copied.model.owner, copied.model.team, copied.model.visibility) == ("bob", "vision", "team")
    assert (copied.model.description, copied.model.licence) == ("读片", "mit")
    assert (copied.chosen.notes, copied.chosen.tags, copied.chosen.state) == (
        "第一版",
        ("医疗",),
        first.state,
    )
    assert copied.chosen.checksum == first.checksum
    assert ("m:v1", "copy") in parents(services, "mine:v1")
    models.edit("mine", subject=BOB, description="自己的", visibility="private")
    assert [item.name for item in models.page(ModelQuery(), subject=CID).items] == []
    models.delete("m")
    models.empty_trash(days=0)
    registry_gc(registry.models.parent, GcSpec(grace_hours=0))
    assert registry.validate("mine:v1").is_whole and registry.validate("mine:v2").is_whole
    for file in files_of(registry, registry.version("mine:v1", subject=BOB)):
        assert sum(map(len, file.open())) == file.file.size
    assert registry_fsck(registry.models.parent, FsckSpec(grace_hours=0)).findings == ()
    before = (registry.fingerprint(), models.fingerprint(), parents(services, "mine:v2"))
    registry.rescan()
    assert (registry.fingerprint(), models.fingerprint(), parents(services, "mine:v2")) == before
    assert registry.show("mine", subject=BOB).model.owner == "bob"
    models.edit("mine", subject=BOB, licence="x")


def test_one_version_of_a_public_model_is_copied_and_goes_on_as_a_model_of_its_own(
    services: Composition, tmp_path: Path
) -> None:
    models, registry = services.models, services.registry
    for seed in range(3):
        registry.register(write_adapter(tmp_path / str(seed), seed=seed), name="m")
    models.edit("m", visibility="everyone")
    models.set_alias("m:v2", "best")
    assert models.copy("m@best", "mine", subject=EVE) == ("mine:v2",)
    assert models.suggest("mine", subject=EVE) == "v3"
    assert registry.register(tmp_path / "0", name="mine").version.owner == "eve"
    assert [version.label for version in registry.show("mine", subject=EVE).versions] == ["v3", "v2"]
    with pytest.raises(UnknownReference):
        registry.show("mine", subject=BOB)


def test_a_copied_data_set_is_whole_when_its_origin_is_gone(services: Composition, tmp_path: Path) -> None:
    datasets = services.datasets
    for seed in range(2):
        datasets.register(write_snapshot(tmp_path / str(seed), rows=6, seed=seed), name="d", tags=("医疗",))
    datasets.set_notes("d:v1", "第一版")
    datasets.share("d", "team:vision", "use")
    with pytest.raises(NameTaken):
        datasets.copy("d", "d", subject=BOB)
    assert datasets.copy("d:v1", "mine", subject=BOB) == ("mine:v1",)
    assert datasets.copy("d", "ours", team="vision", subject=BOB) == ("ours:v1", "ours:v2")
    part = "medical_qa_train.jsonl"
    assert len({(datasets.resolve(f"{name}:v1") / part).stat().st_ino for name in ("d", "mine", "ours")}) == 1
    assert ("d:v1", "copy") in parents(services, "dataset://mine:v1")
    assert datasets.row("ours:v1", "1", subject=CID).row_id == "ours:v1#1"
    assert datasets.show("ours", subject=CID).dataset.visibility == "team"
    datasets.delete("d")
    datasets.empty_trash(days=0)
    for name in ("mine:v1", "ours:v1", "ours:v2"):
        assert datasets.validate(name).is_whole and not datasets.resolve(name).joinpath("x").exists()
    assert [(one.notes, one.tags) for one in datasets.show("mine").versions] == [("第一版", ("医疗",))]
    before = (datasets.fingerprint(), parents(services, "dataset://ours:v2"))
    services.registry.rescan()
    assert (datasets.fingerprint(), parents(services, "dataset://ours:v2")) == before
    assert before[1] == [("d:v2", "copy")]
