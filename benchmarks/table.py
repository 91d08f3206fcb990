"""All benchmarks: name -> module, and how much work it does in its short and its full size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Size = dict[str, Any]
SHORT, FULL = "short", "full"


@dataclass(frozen=True)
class Benchmark:
    """``sizes``: ``short`` and ``full``; one without ``short`` runs with ``--full`` only."""

    module: str
    sizes: dict[str, Size] = field(default_factory=dict)


# Shape of the model and whether certificates are measured too (a minute each at 0.5B, so not there).
_SMALL = (("60M", False),)
_LARGE = (("60M", True), ("0.5B", False))

BENCHMARKS = {
    "cli_start": Benchmark("cli_start", {SHORT: {}, FULL: {}}),
    "core_install": Benchmark("core_install", {FULL: {}}),
    "data_prepare": Benchmark("data_prepare", {SHORT: {"rows": 20_000}, FULL: {"rows": 100_000}}),
    "data_check": Benchmark("data_check", {SHORT: {"rows": 10_000}, FULL: {"rows": 100_000}}),
    "tokens": Benchmark("tokens", {SHORT: {"rows": 2_000}, FULL: {"rows": 10_000}}),
    "first_batch": Benchmark(
        "first_batch",
        {
            SHORT: {"rows": 5_000, "workers": (2,), "rounds": 3, "bars": False},
            FULL: {"rows": 100_000, "workers": (1, 2), "rounds": 3, "bars": True},
        },
    ),
    "merge": Benchmark(
        "merge",
        {SHORT: {"models": _SMALL, "rounds": 5}, FULL: {"models": _LARGE, "rounds": 5, "synthetic": 12}},
    ),
    "gguf": Benchmark("gguf", {SHORT: {"models": _SMALL}, FULL: {"models": _LARGE}}),
    "train_step": Benchmark(
        "train_step",
        {
            SHORT: {"shapes": ("tiny", "small"), "steps": 20},
            FULL: {"shapes": ("tiny", "small", "medium"), "steps": 40},
        },
    ),
    "train_speed": Benchmark(
        "train_speed",
        {
            SHORT: {
                "shape": {"num_hidden_layers": 2, "vocab_size": 32_768},
                "steps": 2,
                "rounds": 1,
                "bars": False,
            },
            FULL: {"shape": {}, "steps": 5, "rounds": 3, "bars": True},
        },
    ),
    "train_memory": Benchmark(
        "train_memory",
        {
            SHORT: {
                "shape": {"num_hidden_layers": 2, "vocab_size": 32_768},
                "steps": 2,
                "rounds": 1,
                "bars": False,
            },
            FULL: {"shape": {}, "steps": 4, "rounds": 2, "bars": True},
        },
    ),
    "train_start": Benchmark(
        "train_start",
        {
            SHORT: {"shape": {"num_hidden_layers": 2, "vocab_size": 32_768}, "rounds": 1, "bars": False},
            FULL: {"shape": {}, "rounds": 3, "bars": True},
        },
    ),
    "metrics": Benchmark("metrics", {SHORT: {"pairs": 100}, FULL: {"pairs": 1_000}}),
    "upload": Benchmark(
        "upload",
        {
            SHORT: {"mib": 128, "rounds": 3, "cuts": {"line": 5, "server": 3, "client": 2}},
            FULL: {"mib": 1024, "rounds": 5, "cuts": {"line": 25, "server": 15, "client": 10}},
        },
    ),
    "registry_http": Benchmark(
        "registry_http",
        {
            SHORT: {"models": 2_000, "times": 20, "peer_times": 5, "created": 3},
            FULL: {"models": 100_000, "times": 60, "peer_times": 4, "created": 10},
        },
    ),
    "registry_load": Benchmark(
        "registry_load",
        {
            SHORT: {"models": 500, "callers": 50, "seconds": 8, "rounds": 1},
            FULL: {"models": 10_000, "callers": 50, "seconds": 60, "rounds": 1},
        },
    ),
    "validate": Benchmark(
        "validate",
        {SHORT: {"models": ("60M",), "rounds": 5}, FULL: {"models": ("60M", "0.5B"), "rounds": 5}},
    ),
    "refusals": Benchmark(
        "refusals", {SHORT: {"model": "60M", "rounds": 5}, FULL: {"model": "0.5B", "rounds": 5}}
    ),
    "registry": Benchmark(
        "registry", {SHORT: {"versions": 200, "registered": 10}, FULL: {"versions": 1_000, "registered": 100}}
    ),
}
