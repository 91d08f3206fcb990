"""`mozhu engines`: an environment is whole or counts as none, goes on where it stopped, and never touches ours."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mozhu.cli.main import main
from mozhu.kernel.errors import (
    EngineBusy,
    EngineIncomplete,
    EngineInstallFailed,
    EngineInstallOffline,
    MissingFile,
    UnknownEngine,
)
from mozhu.specs.engines import InstallSpec
from mozhu.workspace.environments.install import install_engine, is_half_made, pip_command, remove_engine
from mozhu.workspace.environments.recipes import RECIPES, find_recipe
from mozhu.workspace.environments.record import find_environment, python_of, record_path

_BESIDE = ("transformers", "peft", "trl", "datasets")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Environments of a test lie in its own folder, and pip has no settings of this machine."""
    place = tmp_path / "engines"
    monkeypatch.setenv("MOZHU_ENGINES", str(place))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wheels with the names and versions of the recipe and next to nothing in them."""
    place = tmp_path_factory.mktemp("wheels")
    pins = find_recipe("swift").pins()
    for name in ("torch", "bitsandbytes", *_BESIDE):
        code = "class version:\n    cuda = None\n" if name == "torch" else ""
        _wheel(place, name, pins[name], name, code)
    needs = [f"Requires-Dist: {name}" for name in _BESIDE]
    _wheel(place, "ms-swift", pins["ms-swift"], "swift", "", needs)
    return place


def _wheel(place: Path, name: str, version: str, module: str, code: str, needs: Any = ()) -> None:
    plain = name.replace("-", "_")
    told = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *needs, ""])
    info = f"{plain}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": code,
        f"{info}/METADATA": told,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(place / f"{plain}-{version}-py3-none-any.whl", "w") as packed:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            packed.writestr(path, content)


def _asked(wheels: Path, **changes: Any) -> InstallSpec:
    return InstallSpec(name="swift", wheelhouse=str(wheels), **changes)


@pytest.mark.slow
def test_an_engine_is_installed_from_a_folder_of_wheels_listed_and_removed(
    wheels: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = sorted(Path(sys.prefix).glob("lib/python*/site-packages/*.dist-info"))
    lines: list[str] = []
    found = install_engine(_asked(wheels), lambda line, step, steps: lines.append(f"{step}/{steps} {line}"))
    assert found.version("ms_swift") == find_recipe("swift").pins()["ms-swift"]
    assert found.version("torch") == find_recipe("swift").pins()["torch"]
    assert found.cuda is None and found.owned
    assert any(line.startswith("1/2") and "torch" in line for line in lines)
    assert any(line.startswith("2/2") and "swift" in line for line in lines)
    assert sorted(Path(sys.prefix).glob("lib/python*/site-packages/*.dist-info")) == ours
    assert install_engine(_asked(wheels)) == found  # there already: nothing is done again
    assert main(["engines", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)[0]
    assert (listed["name"], listed["state"], listed["device"]) == ("swift", "installed", "cpu")
    assert main(["engines", "remove", "swift"]) == 0
    assert find_environment("swift") is None
    assert not Path(found.path).exists()


@pytest.mark.slow
def test_a_missing_wheel_is_told_and_the_next_try_goes_on(wheels: Path, tmp_path: Path, home: Path) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for path in wheels.glob("torch-*"):
        (some / path.name).write_bytes(path.read_bytes())
    with pytest.raises(EngineInstallFailed) as caught:
        install_engine(_asked(some))
    assert "ms-swift" in caught.value.params["reason"]
    assert "ms-swift" in Path(caught.value.params["log"]).read_text()
    assert find_environment("swift") is None and is_half_made("swift")
    installed = home / "swift"
    before = {path: path.stat().st_mtime_ns for path in installed.rglob("torch/__init__.py")}
    assert len(before) == 1
    found = install_engine(_asked(wheels))
    assert found.python == python_of(installed)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_an_environment_that_cannot_import_its_engine_is_none(wheels: Path, home: Path) -> None:
    found = install_engine(_asked(wheels))
    record_path("swift").unlink()
    for path in Path(found.path).rglob("swift/__init__.py"):
        path.write_text("raise ImportError('libgone.so: cannot open')")
    with pytest.raises(EngineIncomplete) as caught:
        install_engine(InstallSpec(name="swift", use=found.path))
    assert "libgone.so" in caught.value.params["tail"]
    assert find_environment("swift") is None
    again = install_engine(_asked(wheels, again=True))
    assert again.version("ms-swift")


@pytest.mark.slow
def test_without_a_network_the_error_names_the_ways_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(EngineInstallOffline) as caught:
        install_engine(InstallSpec(name="swift"))
    assert "--wheelhouse" in caught.value.next and "PIP_INDEX_URL" in caught.value.next


def test_an_environment_made_elsewhere_is_used_and_never_removed(wheels: Path, tmp_path: Path) -> None:
    """``--use``: only looked at. Forgetting it leaves its folder as it is."""
    theirs = tmp_path / "conda" / "bin"
    theirs.mkdir(parents=True)
    (theirs / "python").write_text(
        '#!/bin/sh\necho \'MOZHU{"versions": {"ms-swift": "4.6.0", "torch": "2.13.0"}, "cuda": "13.0"}\'\n'
    )
    (theirs / "python").chmod(0o755)
    found = install_engine(InstallSpec(name="swift", use=str(theirs.parent)))
    assert (found.version("ms-swift"), found.cuda, found.owned) == ("4.6.0", "13.0", False)
    remove_engine("swift")
    assert (theirs / "python").is_file()
    assert find_environment("swift") is None


def test_a_record_whose_folder_is_gone_counts_as_none(tmp_path: Path, home: Path) -> None:
    home.mkdir()
    record_path("swift").write_text(json.dumps({"name": "swift", "path": str(tmp_path / "gone")}))
    assert find_environment("swift") is None
    record_path("swift").write_text("{ torn")
    assert find_environment("swift") is None


def test_wrong_names_and_places_are_errors_before_anything_is_made(tmp_path: Path, home: Path) -> None:
    with pytest.raises(UnknownEngine):
        install_engine(InstallSpec(name="swfit"))
    with pytest.raises(MissingFile):
        install_engine(InstallSpec(name="swift", use=str(tmp_path)))
    with pytest.raises(MissingFile):
        install_engine(InstallSpec(name="swift", wheelhouse=str(tmp_path / "none")))
    assert not (home / "swift").exists()


def test_two_installations_at_once_are_one_too_many(wheels: Path, home: Path) -> None:
    home.mkdir()
    with FileLock(home / ".swift.lock"), pytest.raises(EngineBusy):
        install_engine(_asked(wheels))


def test_a_folder_that_is_no_environment_is_never_removed(wheels: Path, home: Path) -> None:
    (home / "swift").mkdir(parents=True)
    (home / "swift" / "thesis.txt").write_text("years of work")
    remove_engine("swift")
    assert (home / "swift" / "thesis.txt").is_file()


def test_a_dry_run_says_what_and_where_and_makes_nothing(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["engines", "install", "swift", "--dry_run", "--root", str(tmp_path / "disk"), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["path"] == str(tmp_path / "disk" / "swift")
    assert told["pins"]["ms-swift"] == "4.6.0" and told["disk_bytes"] > 1e9
    assert any("torch" in line for line in told["commands"])
    assert not home.exists() and not (tmp_path / "disk").exists()


def test_a_wheelhouse_means_no_index_and_a_torch_index_is_for_torch_alone(tmp_path: Path) -> None:
    recipe = find_recipe("swift")
    behind = pip_command(_asked(tmp_path), recipe, ("torch",))
    assert "--no-index" in behind and str(tmp_path) in behind
    cpu = InstallSpec(name="swift", torch_index="https://example.test/cpu")
    assert "--index-url" in pip_command(cpu, recipe, ("torch",))
    assert "--index-url" not in pip_command(cpu, recipe, ("ms-swift",))


def test_every_recipe_pins_what_it_installs() -> None:
    for recipe in RECIPES.values():
        pins = recipe.pins()
        assert {package for step in recipe.steps for package in step} <= set(pins)
        assert recipe.steps[0] == ("torch",)
