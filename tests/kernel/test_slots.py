"""Slots: what is built in, what a workspace or a plug-in adds, and what is said when something is missing."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from mozhu.kernel import slots
from mozhu.kernel.errors import MissingExtra, UnknownSlotName


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_added", {})


BUILT_IN = [(slot, name) for slot, entries in slots.BUILT_IN.items() for name in entries]


@pytest.mark.parametrize(("slot", "name"), BUILT_IN, ids=lambda part: part)
def test_every_built_in_entry_is_there(slot: str, name: str) -> None:
    assert name in slots.names(slot)
    try:
        assert slots.load(slot, name) is not None
    except MissingExtra as error:
        pytest.skip(f"{error.params['module']} is not installed here")


def test_a_typo_lists_the_nearest_names() -> None:
    with pytest.raises(UnknownSlotName) as caught:
        slots.load("mozhu.metrics", "rogueL")
    assert caught.value.params["known"][0] == "rougeL"
    with pytest.raises(UnknownSlotName) as caught:
        slots.load("mozhu.training_engines", "zzzzzz")
    assert caught.value.params["known"] == slots.names("mozhu.training_engines")


def test_a_workspace_adds_to_a_slot_and_may_replace_what_is_built_in() -> None:
    slots.register("mozhu.metrics", "politeness", "polite")
    slots.register("mozhu.metrics", "bleu", "mine")
    assert slots.load("mozhu.metrics", "politeness") == "polite"
    assert slots.load("mozhu.metrics", "bleu") == "mine"
    assert slots.names("mozhu.metrics").count("bleu") == 1


def test_a_plug_in_adds_to_a_slot_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("haiku", "json:dumps", "mozhu.metrics")
    monkeypatch.setattr(slots, "entry_points", lambda group: [point] if group == "mozhu.metrics" else [])
    assert "haiku" in slots.names("mozhu.metrics") and "haiku" not in slots.names("mozhu.readers")
    assert slots.load("mozhu.metrics", "haiku")({"a": 1}) == '{"a": 1}'


@pytest.mark.parametrize(
    ("module", "extra"), [("torch", "train"), ("gguf", "export"), ("peft.tuners", "train")]
)
def test_a_missing_library_is_named_with_the_command_that_adds_it(
    module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> SimpleNamespace:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(MissingExtra) as caught:
        slots.load("mozhu.verbs", "train")
    assert caught.value.params["module"] == module.split(".")[0]
    assert f'pip install "mozhu[{extra}]"' in caught.value.next
    assert caught.value.exit_code == 4


def test_a_missing_module_that_no_extra_brings_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> SimpleNamespace:
        raise ModuleNotFoundError("No module named 'mozhu.gone'", name="mozhu.gone")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError):
        slots.load("mozhu.verbs", "train")
