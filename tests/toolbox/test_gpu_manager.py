"""GPUs are found, or their absence is an answer; no test needs one."""

from __future__ import annotations

import pytest
from gpu_manager import GPUManager, environment_for

_MIB = 1 << 20


@pytest.mark.usefixtures("no_gpu")
def test_a_machine_without_a_gpu_gives_empty_answers_and_no_error():
    manager = GPUManager()
    assert manager.get_gpu_info() == []
    assert manager.get_free_gpus() == []
    assert manager.select_gpu() is None
    summary = manager.get_memory_summary()
    assert (summary["gpu_count"], summary["gpu_total_bytes"]) == (0, 0)
    assert 0 < summary["free_bytes"] <= summary["total_bytes"]
    assert "No NVIDIA GPU" in manager.describe()


def test_every_gpu_is_told_with_its_memory(fake_gpus):
    fake_gpus()
    first, second = GPUManager().get_gpu_info()
    assert (first["index"], first["name"], first["driver"]) == (0, "NVIDIA A100", "550.54")
    assert (first["total_bytes"], first["free_bytes"]) == (40960 * _MIB, 1024 * _MIB)
    assert first["used_bytes"] + first["free_bytes"] == first["total_bytes"]
    assert (first["used_percent"], second["used_percent"]) == (97.5, 25.0)
    assert (first["load_percent"], second["load_percent"]) == (97.0, 0.0)


def test_the_gpu_with_most_free_memory_is_selected(fake_gpus):
    fake_gpus()
    manager = GPUManager()
    assert manager.select_gpu() == 1
    assert [gpu["index"] for gpu in manager.get_free_gpus()] == [1, 0]
    assert [gpu["index"] for gpu in manager.get_free_gpus(2048 * _MIB)] == [1]
    assert manager.select_gpu(50_000 * _MIB) is None


@pytest.mark.parametrize(
    ("variable", "visible"),
    [("0", [0]), ("1,0", [0, 1]), ("", []), ("-1", []), ("0,7,1", [0]), ("GPU-8932f937", [0, 1])],
)
def test_a_gpu_hidden_from_cuda_is_never_selected(fake_gpus, variable, visible):
    fake_gpus()
    manager = GPUManager({"CUDA_VISIBLE_DEVICES": variable})
    assert [gpu["index"] for gpu in manager.get_gpu_info()] == [0, 1]
    assert sorted(gpu["index"] for gpu in manager.get_free_gpus()) == visible
    assert manager.get_memory_summary()["gpu_count"] == len(visible)


def test_a_description_names_each_gpu(fake_gpus):
    fake_gpus()
    assert GPUManager({"CUDA_VISIBLE_DEVICES": "1"}).describe().splitlines() == [
        "GPU 0 NVIDIA A100: hidden by CUDA_VISIBLE_DEVICES",
        "GPU 1 NVIDIA A100: 30.0GB free of 40.0GB, 25% used",
    ]


@pytest.mark.parametrize("lines", ["", "No devices were found\n", "0, half a line\n"])
def test_an_nvidia_smi_that_says_nothing_usable_is_no_gpu(fake_gpus, lines):
    fake_gpus(lines)
    assert GPUManager().get_gpu_info() == []


def test_a_failing_nvidia_smi_is_no_gpu(fake_gpus):
    fake_gpus(status=9)
    assert GPUManager().get_gpu_info() == []


def test_the_environment_numbers_cards_as_nvidia_smi_does():
    assert environment_for(3) == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "3"}
