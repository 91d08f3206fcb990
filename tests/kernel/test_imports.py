"""Large libraries are imported without what nobody asked for, and for good."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import subprocess
import sys

import pytest

from mozhu.kernel.imports import imported_for_good, left_out


def test_a_package_that_is_left_out_is_not_there_and_then_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with left_out("wave", "json"):
        assert importlib.util.find_spec("wave") is None
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("wave")
        assert importlib.import_module("json") is sys.modules["json"]  # it was there before
    assert importlib.import_module("wave").__name__ == "wave"


def test_an_error_in_the_block_hides_no_package_for_longer() -> None:
    with pytest.raises(ValueError), left_out("wave"), imported_for_good():
        raise ValueError
    assert sys.modules.get("wave", "nothing") is not None and gc.isenabled()


def test_the_collector_is_off_while_libraries_come_and_leaves_them_alone() -> None:
    before = gc.get_freeze_count()
    try:
        with imported_for_good():
            assert not gc.isenabled()
        assert gc.isenabled() and gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


@pytest.mark.slow
def test_the_engine_is_there_without_the_packages_it_never_uses() -> None:
    code = (
        "import sys\n"
        "from mozhu.kernel import slots\n"
        "slots.load('mozhu.training_engines', 'hf')\n"
        "assert not {'boto3', 'datasets', 'pandas'} & set(sys.modules)\n"
        "import boto3, datasets\n"  # who asks for them has them
        "from transformers import Trainer\n"
        "from transformers.utils import is_datasets_available\n"
        "assert not is_datasets_available()\n"  # else Trainer would look for a name that it has not imported
    )
    subprocess.run([sys.executable, "-c", code], check=True)
