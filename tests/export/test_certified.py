"""With the built-in certifiers in place: what is written is proven, what cannot be proven is not written."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mozhu.engine.export.gguf.certificate")

from mozhu.engine.export.convert import run_convert
from mozhu.engine.export.merge import run_merge
from mozhu.specs.export import ConvertSpec, MergeSpec
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.manifest import Manifest, manifest_problems
from mozhu.testing.tiny_adapters import make_tiny_adapter
from mozhu.testing.tiny_models import make_tiny_model


def quiet(*_: object, **__: object) -> None:
    pass


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_a_merge_and_its_gguf_come_with_certificates_that_pass(family, certified, tmp_path):
    base = Path(make_tiny_model(tmp_path / "base", family))
    adapter = Path(make_tiny_adapter(tmp_path / "adapter", base))
    merged = tmp_path / "merged_model"
    spec = MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(merged))
    outcome = run_merge(spec, tmp_path, quiet)
    assert Certificate.read(tmp_path / outcome.artefacts[0].certificate).passed
    assert manifest_problems(merged, Manifest.read(merged / "manifest.json")) == []
    for quantization in ("F32", "Q8_0"):
        made = run_convert(ConvertSpec(model=str(merged), quantization=quantization), tmp_path, quiet)
        certificate = Certificate.read(tmp_path / made.artefacts[0].certificate)
        assert certificate.passed and certificate.kind == "gguf"


def test_measuring_tells_how_far_it_is_and_when_stopped_leaves_nothing_half_written(certified, tmp_path):
    base = Path(make_tiny_model(tmp_path / "base", "qwen2"))
    adapter = Path(make_tiny_adapter(tmp_path / "adapter", base))
    merged, gguf = tmp_path / "merged", tmp_path / "gguf"
    merge = MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(merged))
    convert = ConvertSpec(model=str(base), quantization="Q8_0", output_path=str(gguf))
    rows: list[dict] = []

    def stopping(kind, **told):
        if kind == "step" and "tokens_per_s" in told:  # the certificate's first row
            raise KeyboardInterrupt

    def watching(kind, **told):
        rows.extend([told] if "tokens_per_s" in told else [])

    for run, spec, target in ((run_merge, merge, merged), (run_convert, convert, gguf)):
        with pytest.raises(KeyboardInterrupt):
            run(spec, tmp_path, stopping)
        assert not target.exists()
        left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
        assert left == ([".merged.merging"] if target == merged else []), (
            "finished files wait for the next merge"
        )
        rows.clear()
        done = run(spec, tmp_path, watching)
        assert rows and rows[-1]["step"] == rows[-1]["total"] and rows[-1]["eta_s"] == 0
        assert all(row["tokens_per_s"] > 0 and row["eta_s"] >= 0 for row in rows)
        assert Certificate.read(tmp_path / done.artefacts[0].certificate).passed
        assert done.details.get("reused_shards", 1) == 1
        assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
