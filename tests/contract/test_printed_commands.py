"""The printed commands of the seeds run as printed, from a clone and from the wheel."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from items import BY_ID, ITEMS, Item, command_of, result_of
from scratch import Place

# What the frame and the main job must run (A57 to A60 and the data formats have tests of their own).
WANTED = {
    "A01",
    "A02",
    "A03",
    "A04",
    "A05",
    "A06",
    "A13",
    "A14",
    "A15",
    "A16",
    "A17",
    "A24",
    "A31",
    "A32",
    "A38",
    "A39",
    "A56",
}


def _cases() -> list[object]:
    cases = [
        pytest.param("clone", item, id=f"clone-{item.id}", marks=[pytest.mark.slow] if item.slow else [])
        for item in ITEMS
    ]
    return cases + [
        pytest.param("wheel", item, id=f"wheel-{item.id}", marks=pytest.mark.slow) for item in ITEMS
    ]


@pytest.mark.parametrize(("kind", "item"), _cases())
def test_printed_command_does_what_the_seed_says(
    kind: str, item: Item, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(kind)
    done = result_of(item.id, place)
    assert done.code == item.code, done.said
    assert "Traceback" not in done.said
    item.accept(place, done)


def test_no_command_of_these_issues_is_left_out() -> None:
    assert {item.id.split("/")[0] for item in ITEMS} >= WANTED
    assert len(BY_ID) == len(ITEMS)


def test_only_model_names_differ_from_what_is_printed(clone: Place) -> None:
    for item in ITEMS:
        typed = command_of(item, clone)
        assert not re.search(r"meta-llama/|Qwen/", typed)
        assert len(typed.split()) == len(item.command.split())


def test_the_log_that_is_printed_can_be_followed(clone: Place) -> None:
    """Seed 002: ``tail -f 6_output/training/logs/training.log`` before any training."""
    process = subprocess.Popen(
        ["bash", "-c", "exec tail -f 6_output/training/logs/training.log"],
        cwd=clone.root,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == ""


def test_another_request_into_the_same_folder_is_refused(clone: Place) -> None:
    """The seed prints ``./lora_output`` for JSON and for CSV: the second needs a folder of its own, and says so."""
    result_of("A13", clone)
    spec = clone.path("models/finetuned/spec.json").read_bytes()
    done = clone.once(
        "A13 again with another rank",
        lambda: clone.run(command_of(BY_ID["A13"], clone).replace("--lora-r 8", "--lora-r 16")),
    )
    assert done.code == 5 and "RUN-002" in done.err and "lora_rank" in done.err
    assert done.changed == [] and clone.path("models/finetuned/spec.json").read_bytes() == spec


def test_the_same_command_again_is_already_done(clone: Place) -> None:
    result_of("A13", clone)
    done = clone.once("A13 again", lambda: clone.run(command_of(BY_ID["A13"], clone)))
    assert done.code == 0 and "already" in done.err
    assert done.changed == []


def test_requirements_name_what_training_and_export_need(clone: Place) -> None:
    """Seed 003, step 0: ``pip install -r requirements.txt``."""
    lines = [
        line.partition("#")[0].strip() for line in clone.path("requirements.txt").read_text().splitlines()
    ]
    wanted = [line for line in lines if line and not line.startswith("-c")]
    assert wanted == ["-e .[train,export]"] or re.fullmatch(r"mozhu\[train,export\]==\S+", wanted[0])


@pytest.mark.slow
def test_the_wheel_is_what_runs_in_its_place(wheel: Place) -> None:
    done = wheel.run("python -c 'import mozhu; print(mozhu.__file__)'; mozhu --version")
    assert Path(done.out.splitlines()[0]).is_relative_to(wheel.programs.parent), done.said
    requirements = wheel.path("requirements.txt").read_text(encoding="utf-8")
    assert re.fullmatch(r"mozhu\[train,export\]==\S+\n", requirements)


@pytest.mark.slow
def test_the_wheel_carries_the_starter_in_at_most_eight_megabytes(wheel: Place) -> None:
    assert wheel.starter.is_relative_to(wheel.programs.parent)
    assert sum(path.stat().st_size for path in wheel.starter.iterdir()) <= 8_000_000
