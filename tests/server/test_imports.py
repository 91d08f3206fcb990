"""Imports over HTTP, looked at by processes: what seeds 000 and 001 print about models, through the service."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_artefacts import write_adapter, write_model
from test_process import running

from mozhu.app import compose
from mozhu.client.client import Client
from mozhu.kernel.errors import MozhuError
from mozhu.platform.jobs.executors.process import ProcessExecutor
from mozhu.server.make import make_app
from mozhu.server.run import Service, config_of, listen
from mozhu.specs.service import ServiceSpec
from mozhu.testing.inline_runs import InlineExecutor
from mozhu.workspace.runs import RunFolder, RunState

# Seed 000, lines 59 to 77.
PRINTED = {
    "model_name": "Qwen2.5-7B-medical-lora",
    "base_model": "Qwen/Qwen2.5-7B-Instruct",
    "model_type": "lora",
    "task": "medical_qa",
    "version": "v1.0.0",
    "created_time": "2024-10-14T10:00:00Z",
    "training_dataset": "medical_qa_dataset",
    "training_steps": 1000,
    "performance": {"bleu": 0.75, "rouge-l": 0.68, "f1": 0.72},
    "file_size": "15.2GB",
    "checksum": "sha256:abc123...",
    "tags": ["medical", "qa", "chinese"],
    "description": "基于Qwen2.5-7B的医疗问答LoRA微调模型",
}


class Either:
    """Runs in processes of their own, or in this one where a test asks for that: a start costs seconds."""

    def __init__(self, root: Path) -> None:
        self.process, self.inline, self.apart = ProcessExecutor(root), InlineExecutor(), False

    @property
    def _now(self) -> Any:
        return self.process if self.apart else self.inline

    def start(self, run: RunFolder) -> None:
        self._now.start(run)

    def state(self, run: RunFolder) -> RunState:
        return self.process.state(run)

    def stop(self, run: RunFolder) -> bool:
        return self.process.stop(run)

    def tail(self, run: RunFolder, after: int = 0) -> list[dict[str, Any]]:
        return self.process.tail(run, after)


class Served:
    """A service in this process and a client of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.executor = Either(root)
        spec = ServiceSpec(port=0, grace_s=5)
        self.composition = compose(root, spec, executor=self.executor)
        app = make_app(self.composition)
        listening = listen(spec)
        self._service = Service(config_of(app, spec), app, drain_s=0.0, quiet_s=0.0)
        self._thread = threading.Thread(target=self._service.run, kwargs={"sockets": [listening]})
        self._thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.client = Client(address, self.composition.token.token)

    def close(self) -> None:
        self.client.close()
        self._service.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    def taken(self, name: str, path: Path, **wishes: Any) -> Any:
        upload = self.client.upload(path).upload["id"]
        return followed(self.client, self.client.import_version(name, upload, **wishes))


def followed(client: Client, item: Any, seconds: float = 120.0) -> Any:
    """The import when it has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = client.import_state(item["id"])
        if found["state"] in ("ready", "failed") or found["waits"]:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("service")
    (root / "0_configs").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOZHU_UPLOADS", str(root / "records"))
        made = Served(root)
        yield made
        made.close()


def test_the_package_that_is_printed_becomes_the_first_version(served: Served, tmp_path: Path) -> None:
    """A64, in a process of its own that is killed while it works: it is started again and nothing is lost."""
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.arange(6.0).reshape(2, 3)}, tmp_path / "pytorch_model.bin")
    folder = write_model(tmp_path / "llama-3-8b", model_type="llama")
    (folder / "model.safetensors").unlink()
    (tmp_path / "pytorch_model.bin").rename(folder / "pytorch_model.bin")
    packed = tmp_path / "llama-3-8b.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"llama-3-8b/{path.name}")
    served.executor.apart = True
    try:
        upload = served.client.upload(packed).upload["id"]
        item = served.client.import_version("Llama-3-8B", upload, type="text")
        assert (item["reference"], item["state"]) == ("Llama-3-8B:v1", "checking")
        killed(served, item["id"])
        done = followed(served.client, item)
    finally:
        served.executor.apart = False
    assert done["state"] == "ready", done["findings"]
    assert (done["recognised"]["kind"], done["recognised"]["parameters"]) == ("model", 6)
    page = served.client.model("Llama-3-8B")
    assert (page["model"]["type"], page["chosen"]["label"], page["chosen"]["state"]) == (
        "text",
        "v1",
        "ready",
    )
    names = {file["path"] for file in served.client.files("Llama-3-8B:v1")["items"]}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert page["chosen"]["path"] == "pretrained/llama/Llama-3-8B/v1" and page["imports"] == []
    told = [event["what"] for event in served.client.events()["items"] if event["model"] == "Llama-3-8B"]
    assert told == ["import.checking", "version.registered", "import.ready"]
    assert not list((served.root / "6_output").iterdir())


def killed(served: Served, import_id: str) -> None:
    """The first process of the import has been killed with SIGKILL."""
    place = served.root / "6_output" / f"import-{import_id}"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        mine = served.executor.process._mine.get(place)
        if mine is not None:
            os.killpg(mine.pid, signal.SIGKILL)
            return
        time.sleep(0.01)
    raise AssertionError("the run was never started")


def test_names_that_are_printed_are_accepted_and_bad_ones_advised_on(served: Served, tmp_path: Path) -> None:
    """A65."""
    items = []
    for number, label in enumerate(("v1.0", "v2.1", "v1_base", "v2_finetuned", "v3_medical")):
        path = tmp_path / f"{number}.txt"
        path.write_text(label)
        upload = served.client.upload(path).upload["id"]
        name = "BERT-Base-Chinese"
        item = served.client.import_version(
            name, upload, version=label, type="file", notes="修复了tokenizer的bug"
        )
        assert (item["reference"], item["advice"]) == (f"{name}:{label}", [])
        items.append(item)
    assert [followed(served.client, item)["state"] for item in items] == ["ready"] * 5
    labels = [version["label"] for version in served.client.model("BERT-Base-Chinese")["versions"]]
    assert labels == ["v3_medical", "v2_finetuned", "v1_base", "v2.1", "v1.0"]
    assert served.client.next_version("BERT-Base-Chinese")["version"] == "v4_medical"
    item = served.client.import_version("x", upload, version="newest", type="file", notes="新版本")
    assert {each["code"] for each in item["advice"]} == {"plain_name", "version_name", "note"}
    served.client.remove_import(item["id"])


def test_the_record_that_is_printed_is_taken_and_written_again(served: Served, tmp_path: Path) -> None:
    """A57 and A58."""
    folder = write_adapter(tmp_path / "medical")
    (folder / "model_info.json").write_text(json.dumps(PRINTED), encoding="utf-8")
    done = served.taken("Qwen2.5-7B-medical-lora", folder)
    assert done["state"] == "ready", done["findings"]
    chosen = served.client.model("Qwen2.5-7B-medical-lora")["chosen"]
    same = ("model_type", "task", "training_dataset", "training_steps", "performance", "tags", "description")
    assert {name: chosen[name] for name in same} == {name: PRINTED[name] for name in same}
    place = served.root / "5_models" / chosen["path"]
    assert chosen["path"] == "finetuned/lora/Qwen2.5-7B-medical-lora/v1"
    written = json.loads((place / "model_info.json").read_text(encoding="utf-8"))
    assert list(written) == list(PRINTED) and written["checksum"] == chosen["checksum"]
    beside = {"training_config.json", "performance_metrics.json", "README.md", "registration.json"}
    assert beside <= {path.name for path in place.iterdir()}


def test_models_are_listed_registered_and_validated(served: Served, tmp_path: Path) -> None:
    """A56: list, register, a pickle as safetensors (above), validate; damage is told and counts."""
    done = served.taken("my_model", write_adapter(tmp_path / "my_model", seed=3))
    assert done["state"] == "ready"
    assert "my_model" in {model["name"] for model in served.client.models()["items"]}
    report = served.client.validate_model("my_model:v1")
    assert report["is_whole"] and report["state"] == "ready"
    place = served.root / "5_models" / served.client.model("my_model")["chosen"]["path"]
    weights = place / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()  # the store's own file is another name of the same bytes
    weights.write_bytes(content)
    report = served.client.validate_model("my_model:v1")
    assert not report["is_whole"] and report["state"] == "failed"


def test_what_is_on_its_way_stands_on_the_page_of_its_model(served: Served, tmp_path: Path) -> None:
    bad = tmp_path / "notes.json"
    bad.write_text("{")
    first = served.taken("shelf", write_adapter(tmp_path / "a", seed=4))
    failed = served.taken("shelf", bad)
    assert (failed["state"], failed["reference"]) == ("failed", "shelf:v2")
    assert failed["findings"][0]["code"] == "SAFE-137" and failed["finished"]
    page = served.client.model("shelf")
    assert [item["id"] for item in page["imports"]] == [failed["id"]] and first["state"] == "ready"
    newest = served.client.imports(limit=1)
    assert [item["id"] for item in newest["items"]] == [failed["id"]]
    rest = served.client.imports(cursor=newest["next"])
    assert failed["id"] not in {item["id"] for item in rest["items"]} and rest["items"]
    assert {item["state"] for item in served.client.imports(state="failed")["items"]} == {"failed"}
    again = served.client.retry_import(failed["id"])
    assert again["state"] == "checking" and followed(served.client, again)["state"] == "failed"
    served.client.remove_import(failed["id"])
    assert served.client.model("shelf")["imports"] == []
    with pytest.raises(MozhuError) as gone:
        served.client.import_state(failed["id"])
    assert gone.value.code == "IMPORT-001"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_service_that_is_killed_carries_on_when_it_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZHU_UPLOADS", str(tmp_path / "records"))
    root = tmp_path / "workspace"
    (root / "0_configs").mkdir(parents=True)
    source = write_model(tmp_path / "m", seed=8)
    for wait_s in (0.0, 0.7, 2.0, 4.0):
        name = f"m{wait_s}"
        with running(root) as first, Client(first.address, token(root)) as client:
            item = client.import_version(name, client.upload(source).upload["id"])
            time.sleep(wait_s)
            first.stop(signal.SIGKILL)
        with running(root) as second, Client(second.address, token(root)) as client:
            done = followed(client, item)
            assert done["state"] == "ready", done["findings"]
            assert [version["label"] for version in client.model(name)["versions"]] == ["v1"]
            assert client.validate_model(f"{name}:v1")["is_whole"]
            second.stop()
    assert not [path for path in (root / "6_output").iterdir() if path.is_dir()]


def token(root: Path) -> str:
    return (root / "5_models" / "service.token").read_text(encoding="utf-8").strip()
