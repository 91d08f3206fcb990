"""No way leads round the certificate: a version is ready only with a whole one that passes and is about its files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from registry_artefacts import certify, write_adapter, write_gguf, write_model

from mozhu.kernel.errors import DamagedArtefact, FailedCertificate
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.limits import REQUIRED, RULES
from mozhu.specs.records.manifest import make_manifest

Edit = Callable[[dict[str, Any]], object]


def edited(folder: Path, edit: Edit, *, reseal: bool) -> None:
    """The certificate changed by hand; with ``reseal`` by somebody who knows about its own hash."""
    path = folder / "certificate.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value), encoding="utf-8")
    if reseal:
        Certificate.read(path).sealed().write(path)


def check(value: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in value["checks"] if item["name"] == name)
    return found


def without(name: str) -> Edit:
    return lambda value: value["checks"].remove(check(value, name))


def lax(value: dict[str, Any]) -> None:
    check(value, "adapter_effect").update(value=1e-6, limit=1e-9)


WAYS: dict[str, tuple[Edit, str]] = {
    "a value made better": (lambda v: check(v, "adapter_effect").update(value=9.0), "certificate_edited"),
    "a failed check called passed": (lambda v: check(v, "adapter_effect").update(value=0.0), "check_untrue"),
    "a limit made lax": (lax, "limit_lax"),
    "a check left out": (without("adapter_effect"), "check_absent"),
    "another kind, which needs less": (lambda v: v.update(kind="note"), "unknown_kind"),
    "the same check twice": (lambda v: v["checks"].append(check(v, "adapter_effect")), "check_twice"),
    "a check nobody knows": (
        lambda v: v["checks"].append({"name": "looks_good", "value": 1, "limit": 0, "ok": True}),
        "unknown_check",
    ),
    "weights left out of its files": (
        lambda v: v["files"].pop([f["path"] for f in v["files"]].index("adapter_model.safetensors")),
        "file_not_certified",
    ),
    "another hash for the weights": (
        lambda v: next(f for f in v["files"] if "model" in f["path"]).update(sha256="sha256:" + "0" * 64),
        "file_other",
    ),
    "a file that is not there": (lambda v: v["files"][0].update(path="nowhere.bin"), "file_gone"),
}


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_edited_certificate_makes_nothing_ready(registry, tmp_path, way):
    edit, code = WAYS[way]
    folder = write_adapter(tmp_path / "a")
    certify(folder)
    edited(folder, edit, reseal=code != "certificate_edited")
    report = registry.validate(folder)
    assert code in {problem.code for problem in report.errors}, report.errors
    with pytest.raises((DamagedArtefact, FailedCertificate)):
        registry.register(folder, name="m")
    assert registry.list_models() == []


def test_a_certificate_edited_without_its_hash_is_told_in_every_case(registry, tmp_path):
    for number, (edit, _) in enumerate(WAYS.values()):
        folder = write_adapter(tmp_path / str(number))
        certify(folder)
        edited(folder, edit, reseal=False)
        assert "certificate_edited" in {problem.code for problem in registry.validate(folder).errors}


def test_the_certificate_of_other_files_makes_nothing_ready(registry, tmp_path):
    good, other = write_adapter(tmp_path / "good"), write_adapter(tmp_path / "other", seed=5)
    certify(good)
    make_manifest(other).write(other / "manifest.json")
    shutil.copy(good / "certificate.json", other / "certificate.json")
    with pytest.raises(DamagedArtefact) as refused:
        registry.register(other, name="m")
    assert "adapter_model.safetensors" in str(refused.value)


def test_files_changed_after_the_certificate_make_nothing_ready(registry, tmp_path):
    folder = write_adapter(tmp_path / "a")
    certify(folder)
    write_adapter(tmp_path / "b", seed=7)
    shutil.copy(tmp_path / "b" / "adapter_model.safetensors", folder / "adapter_model.safetensors")
    with pytest.raises(DamagedArtefact):
        registry.register(folder, name="m")
    make_manifest(folder).write(folder / "manifest.json")  # also with a manifest that fits the new files
    with pytest.raises(DamagedArtefact) as refused:
        registry.register(folder, name="m")
    assert "certificate.json" in str(refused.value)


def test_the_certificate_of_another_gguf_file_makes_nothing_ready(registry, tmp_path):
    certified, other = write_gguf(tmp_path / "a" / "m.gguf"), write_gguf(tmp_path / "b" / "m.gguf", seed=4)
    certify(certified.parent)
    shutil.copy(certified.parent / "certificate.json", other.parent / "m.certificate.json")
    with pytest.raises(DamagedArtefact):
        registry.register(other)


def test_a_certificate_of_an_older_version_is_read_and_makes_nothing_ready(registry, tmp_path):
    folder = write_model(tmp_path / "m")
    certify(folder)
    path = folder / "certificate.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    old = {
        key: item
        for key, item in value.items()
        if key not in ("files", "tensors", "mix", "sha256", "measured")
    }
    path.write_text(json.dumps(old), encoding="utf-8")
    version = registry.register(folder).version
    assert version.state == "checking" and registry.validate("m").is_whole
    assert "certificate_unbound" in {problem.code for problem in registry.validate("m").warnings}


def test_a_ready_version_whose_certificate_is_edited_later_is_ready_no_more(registry, tmp_path):
    folder = write_adapter(tmp_path / "a")
    certify(folder)
    assert registry.register(folder, name="m").version.state == "ready"
    edited(registry.resolve("m"), lax, reseal=True)
    assert registry.validate("m").state == "failed"
    assert registry.show("m").chosen.state == "failed"


def test_every_required_check_has_a_rule():
    assert {name for needed in REQUIRED.values() for choices in needed for name in choices} <= RULES.keys()
