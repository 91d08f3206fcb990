"""Benchmarks are fair, say what they measured, and do not measure the same code twice. Nothing here is timed."""

from __future__ import annotations

import getpass
import importlib
import importlib.util
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import harness, one, run  # noqa: E402
from benchmarks.facts import code_version  # noqa: E402
from benchmarks.harness import Measured, Sample, Skipped, alternate, forked, in_fork, ratio  # noqa: E402
from benchmarks.report import Comparison, Limit, table  # noqa: E402
from benchmarks.table import BENCHMARKS, FULL, SHORT, Benchmark  # noqa: E402


def samples(*seconds: float) -> Measured:
    return Measured([Sample(2 * value, value, 1 << 30, 1 << 24) for value in seconds])


def test_peers_take_turns_and_the_order_turns_round():
    order = []

    def peer(name):
        return lambda: order.append(name) or Sample(1.0, 1.0)

    measured = alternate({"a": peer("a"), "b": peer("b"), "c": peer("c")}, runs=3)
    assert "".join(order) == "abc" + "cba" + "abc"
    assert {name: len(one.samples) for name, one in measured.items()} == {"a": 3, "b": 3, "c": 3}


def test_a_ratio_is_of_medians_and_shows_the_rounds_extremes():
    measured = {"ours": samples(1.0, 2.0, 90.0), "theirs": samples(4.0, 4.0, 9.0)}
    found = ratio(measured, "ours", "theirs")
    assert (found.value, found.low, found.high) == (0.5, 0.25, 10.0)


def test_there_is_no_ratio_to_a_peer_without_the_figure():
    bare = Measured([Sample(1.0, 1.0)])
    frugal = Measured([Sample(1.0, 1.0, 1 << 30, 0)])
    assert ratio({"ours": samples(1.0), "bare": bare}, "ours", "bare", "added_bytes") is None
    assert ratio({"ours": samples(1.0), "frugal": frugal}, "ours", "frugal", "added_bytes") is None


def burn(seconds: float = 0.2) -> None:
    while time.process_time() < seconds:
        pass


def test_cpu_of_child_processes_counts():
    # Clocks of the system go by ticks of up to 10 ms.
    code = "import time\nwhile time.process_time() < 0.2: pass"
    sample = harness.timed(lambda: subprocess.run([sys.executable, "-c", code], check=True) and None)
    assert sample.cpu_s >= 0.18
    assert in_fork(lambda: burn())().cpu_s >= 0.18


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="no such thing"):
        harness.command([sys.executable, "-c", "raise SystemExit('no such thing')"])()


def test_a_fork_measures_the_memory_of_its_own_work_only():
    def work() -> None:
        bytearray(96 << 20)

    sample = in_fork(work)()
    again = in_fork(lambda: None)()
    assert sample.peak_bytes is not None and sample.added_bytes >= 90 << 20
    assert again.added_bytes < 10 << 20, "what an earlier run used is not counted"
    assert sample.peak_bytes <= resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 * 1.05


def test_a_fork_leaves_this_process_as_it_was():
    values = [1]
    assert forked(lambda: values.append(2) or values) == [1, 2]
    assert values == [1]


def test_what_goes_wrong_in_a_fork_is_told_with_its_place():
    def fail() -> None:
        raise ValueError("wrong in there")

    with pytest.raises(RuntimeError, match="wrong in there") as told:
        in_fork(fail)()
    assert "in fail" in str(told.value)
    with pytest.raises(RuntimeError, match="died"):
        forked(lambda: os._exit(3))


def test_what_cleans_up_is_not_measured():
    def slow() -> None:
        while time.process_time() - begun < 0.3:
            pass

    begun = time.process_time()
    assert in_fork(lambda: None, before=slow)().cpu_s < 0.2


def test_a_comparison_says_speeds_ratios_and_limits():
    measured = {"ours": samples(1.0, 1.0, 1.0), "theirs": samples(4.0, 4.0, 4.0)}
    limits = [Limit("ours", 1.0, 2.0, "s"), Limit("theirs", 4.0, 2.0, "s")]
    told = Comparison("work", measured, 100, "rows", [("ours", "theirs")], limits, {"x": 1}).to_json()
    assert told["peers"]["ours"]["per_cpu_s"] == 100 and told["peers"]["ours"]["per_s"] == 50
    assert [item["ok"] for item in told["limits"]] == [True, False]
    assert {item["figure"]: item["value"] for item in told["ratios"]} == {
        "wall_s": 0.25,
        "cpu_s": 0.25,
        "added_bytes": 1.0,
    }
    shown = table({"name": "n", "size": "short", "seconds": 1.0, "load": [0.1, 0.2], "comparisons": [told]})
    assert "0.25 x CPU" in shown and "OVER 2" in shown and "within 2" in shown


def test_every_benchmark_of_the_table_says_what_is_compared():
    for name, benchmark in BENCHMARKS.items():
        assert FULL in benchmark.sizes and set(benchmark.sizes) <= {SHORT, FULL}, name
        found = importlib.util.find_spec(f"benchmarks.{benchmark.module}")
        assert found is not None, name
        source = Path(found.origin).read_text(encoding="utf-8")
        assert "peer" in source.split('"""')[1].lower(), f"{name}: the docstring names its peer"


@pytest.fixture
def counting(tmp_path, monkeypatch):
    """A table with one benchmark whose measuring is counted, its results in a folder of the test's own."""
    made = []

    def measured_apart(name, size):
        made.append((name, size))
        code = code_version("metrics")
        return {
            "name": name,
            "size": size,
            "code": code,
            "seconds": 1.0,
            "load": [0.0, 0.0],
            "comparisons": [],
        }

    monkeypatch.setattr(run, "BENCHMARKS", {"speed": Benchmark("metrics", {SHORT: {}, FULL: {}})})
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run, "_measured_apart", measured_apart)
    return made


def test_a_finished_full_run_is_measured_again_only_when_asked_or_changed(counting, monkeypatch):
    assert run.main(["--full"]) == 0 and run.main(["--full"]) == 0
    assert counting == [("speed", FULL)]
    run.main(["--full", "--again"])
    assert len(counting) == 2
    monkeypatch.setattr(run, "code_version", lambda module: "sha256:changed")
    run.main(["--full"])
    assert len(counting) == 3


def test_short_and_full_results_stand_beside_each_other(counting):
    run.main([])
    run.main(["--full"])
    kept = json.loads((run.RESULTS / "speed.json").read_text(encoding="utf-8"))
    assert set(kept) == {SHORT, FULL}


def test_a_failed_benchmark_is_told_and_the_old_result_stays(counting, monkeypatch, capsys):
    run.main([])
    before = (run.RESULTS / "speed.json").read_bytes()
    failed = {"name": "speed", "size": SHORT, "failed": "ValueError: broken"}
    monkeypatch.setattr(run, "_measured_apart", lambda name, size: failed)
    assert run.main([]) == 1
    assert "ValueError: broken" in capsys.readouterr().out
    assert (run.RESULTS / "speed.json").read_bytes() == before


def test_the_code_version_follows_the_benchmark_and_not_the_day():
    assert code_version("metrics") == code_version("metrics") != code_version("tokens")


def test_a_record_has_the_machine_and_neither_its_name_nor_a_path(monkeypatch, tmp_path):
    work = SimpleNamespace(measure=lambda folder, size: [Comparison("t", {"a": samples(1.0)})])
    monkeypatch.setattr(one.importlib, "import_module", lambda name: work)
    record = one.measure("metrics", SHORT, tmp_path)
    assert {"code", "date", "machine", "libraries", "load", "comparisons"} <= set(record)
    assert {"cores", "memory_gb", "cpu"} <= set(record["machine"])
    _assert_private(json.dumps(record))


def test_a_benchmark_that_cannot_run_here_says_why(monkeypatch, tmp_path):
    def measure(folder, size):
        raise Skipped("needs 9TB")

    monkeypatch.setattr(one.importlib, "import_module", lambda name: SimpleNamespace(measure=measure))
    record = one.measure("metrics", SHORT, tmp_path)
    assert record["skipped"] == "needs 9TB" and "comparisons" not in record


@pytest.mark.parametrize("place", sorted(run.RESULTS.glob("*.json")), ids=lambda place: place.stem)
def test_committed_results_are_records_of_the_table(place):
    kept = json.loads(place.read_text(encoding="utf-8"))
    assert place.stem in BENCHMARKS and set(kept) <= set(BENCHMARKS[place.stem].sizes)
    for size, record in kept.items():
        assert (record["name"], record["size"]) == (place.stem, size)
        assert table(record)
        for part in record["comparisons"]:
            runs = part.get("runs", record["runs"])
            assert runs >= 1 and all(len(peer["runs_wall_cpu_s"]) == runs for peer in part["peers"].values())
    _assert_private(place.read_text(encoding="utf-8"))


def _assert_private(content: str) -> None:
    words = json.dumps(json.loads(content), ensure_ascii=False)
    assert socket.gethostname() not in words.split('"')
    assert str(ROOT) not in words and str(Path.home()) + "/" not in words and "/tmp" not in words
    assert getpass.getuser() not in words.split('"')
