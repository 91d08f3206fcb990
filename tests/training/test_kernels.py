"""Faster operators are chosen by the device and change no number; a GPU recomputes what it cannot hold."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mozhu.engine.training.engines import kernels
from mozhu.engine.training.forecast import forecast, with_checkpointing
from mozhu.engine.training.run import run_training
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import load_base
from mozhu.kernel.machine import Gpu, describe


def test_fused_operators_are_of_a_cuda_gpu_that_has_their_library(
    spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spec(fused_kernels=True)
    monkeypatch.setattr(kernels, "library_version", lambda name: "0.8" if name == "liger-kernel" else None)
    assert kernels.chosen_kernels(asked, "cuda") == ("liger",)
    assert kernels.chosen_kernels(asked, "cpu") == () == kernels.chosen_kernels(spec(), "cuda")
    assert kernels.chosen_kernels(spec(compile_parts=True), "cpu") == ("compiled",)
    assert [each.code for each in kernels.kernel_findings(asked, has_gpu=False)] == ["TRAIN-056"]
    assert kernels.kernel_findings(asked, has_gpu=True) == []
    monkeypatch.setattr(kernels, "library_version", lambda name: None)
    assert kernels.chosen_kernels(asked, "cuda") == ()
    missing = kernels.kernel_findings(asked, has_gpu=True)
    assert [(each.level, each.code, each.params["extra"]) for each in missing] == [
        ("error", "ENV-001", "gpu")
    ]


def test_fused_operators_on_a_cpu_leave_the_training_as_it_is(spec: Any, tmp_path: Path, events: Any) -> None:
    plain = type(events)()
    run_training(spec(max_steps=2), tmp_path / "plain", plain)
    run_training(spec(max_steps=2, fused_kernels=True), tmp_path / "asked", events)
    assert [event["loss"] for event in events.of("step")] == [event["loss"] for event in plain.of("step")]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_parts_compute_the_same(tiny: Path) -> None:
    models = [load_base(ModelFolder.open(tiny), torch.device("cpu"), torch.float32) for _ in range(2)]
    kernels.use_kernels(models[1], ("compiled",))
    compiled = [module for module in models[1].modules() if module._compiled_call_impl is not None]
    assert {type(module).__name__ for module in compiled} == {"Qwen2RMSNorm", "Qwen2RotaryEmbedding"}
    assert list(models[0].state_dict()) == list(models[1].state_dict())
    for length in (7, 12):
        ids = torch.arange(length)[None]
        found = []
        for model in models:
            model.zero_grad()
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            found.append((loss.item(), model.model.embed_tokens.weight.grad.clone()))
        assert found[1][0] == pytest.approx(found[0][0], abs=1e-5)
        torch.testing.assert_close(found[1][1], found[0][1], atol=1e-5, rtol=1e-4)


def _gpu(machine: Any, free: int) -> Any:
    return replace(machine, gpus=(Gpu(0, "A GPU", free, free, "1", 0.0),))


def test_activations_are_recomputed_on_a_gpu_that_cannot_hold_them(spec: Any, events: Any) -> None:
    machine, asked = describe(), spec(batch_size=64, max_length=512)
    whole = forecast(asked, _gpu(machine, 1 << 40))
    small = forecast(asked.model_copy(update={"gradient_checkpointing": True}), _gpu(machine, 1 << 40))
    assert small.peak_memory_bytes < whole.peak_memory_bytes and not whole.checkpointing
    between = _gpu(machine, (small.peak_memory_bytes + whole.peak_memory_bytes) // 2)
    assert forecast(asked, between).checkpointing and forecast(asked, between).fits
    assert with_checkpointing(asked, between, events).gradient_checkpointing is True
    assert [event["code"] for event in events.of("finding")] == ["TRAIN-057"]
    told = asked.model_copy(update={"gradient_checkpointing": False})
    assert with_checkpointing(told, between, events) is told
    assert with_checkpointing(asked, machine, events) is asked or machine.gpus
    assert not forecast(asked, _gpu(machine, 1000)).checkpointing, "nothing helps there"
