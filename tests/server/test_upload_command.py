"""`mozhu upload`: files here become a version there; broken off, the same command goes on; refusals come first."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import Running, running

from mozhu.cli.main import main
from mozhu.client.upload_parts import PartSender
from mozhu.specs.uploads import Part
from mozhu.testing import starter_path

MIB = 1 << 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("uploaded")) as made:
        yield made


@pytest.fixture
def here(service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOZHU_UPLOADS", str(tmp_path / "records"))
    monkeypatch.setenv("MOZHU_SERVER", service.address)
    monkeypatch.setenv("MOZHU_TOKEN", service.composition.token.token)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main([*words, "--lang", "en"])
    return (code, *capsys.readouterr())


def test_a_model_is_ready_at_the_service_and_comes_back(here: Path, service: Running, capsys: Any) -> None:
    shutil.copytree(starter_path(), here / "model")
    wishes = ["--name", "sent", "--tags", "small,zh", "--notes", "first of its kind", "--licence", "mit"]
    code, out, err = said(capsys, "upload", "model", *wishes)
    assert code == 0 and "`sent:v1` is ready" in out, out + err
    detail = service.get("/api/v1/models/sent:v1").json()
    assert detail["chosen"]["tags"] == ["small", "zh"] and detail["chosen"]["state"] == "ready"
    code, out, _ = said(capsys, "download", "sent:v1", "--output_dir", "back")
    assert code == 0
    for name in ("config.json", "model.safetensors"):
        assert (here / "back" / name).read_bytes() == (here / "model" / name).read_bytes()


def test_an_upload_goes_on_after_ctrl_c(
    here: Path, service: Running, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "notes.dat").write_bytes(os.urandom(13 * MIB))

    put = PartSender._put

    def interrupt(self: PartSender, part: Part) -> None:
        if part.number == 2:
            raise KeyboardInterrupt
        put(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(PartSender, "_put", interrupt)
        code, out, err = said(capsys, "upload", "notes.dat", "--type", "file", "--threads", "1")
    assert code == 130 and "UPLOAD-013" in err and "Run the same command again" in err
    waiting = service.get("/api/v1/imports?state=uploading").json()["items"]
    assert [one["reference"] for one in waiting] == ["notes:v1"]
    code, out, err = said(capsys, "upload", "notes.dat", "--type", "file", "--json")
    told = json.loads(out)
    assert code == 0 and told["import"]["state"] == "ready" and told["resumed"]
    assert told["import"]["id"] == waiting[0]["id"] and told["sent_bytes"] == 8 * MIB


def test_what_is_known_is_said_and_not_sent(here: Path, capsys: Any) -> None:
    (here / "a.dat").write_bytes(os.urandom(2 * MIB))
    assert said(capsys, "upload", "a.dat", "--type", "file")[0] == 0
    code, out, err = said(capsys, "upload", "a.dat", "--name", "again", "--type", "file", "--no_wait")
    assert code == 0 and "`again:v1`" in out and "2.0MB are known there and were not sent" in err


def test_a_name_that_is_taken_is_said_before_anything_is_sent(
    here: Path, service: Running, capsys: Any
) -> None:
    (here / "b.dat").write_bytes(b"first")
    assert said(capsys, "upload", "b.dat", "--type", "file", "--version", "v2.1")[0] == 0
    (here / "b.dat").write_bytes(b"second, and longer")
    code, _, err = said(capsys, "upload", "b.dat", "--type", "file", "--version", "v2.1")
    assert code == 5 and "REG-002" in err
    begun = service.get("/api/v1/uploads").json()["items"][0]
    assert begun["received_bytes"] == 0 and begun["state"] == "open"
    code, out, _ = said(capsys, "upload", "b.dat", "--type", "file", "--version", "v2.2", "--json")
    assert code == 0 and json.loads(out)["upload"] == begun["id"]


def test_files_that_are_no_model_fail_with_their_reason(here: Path, capsys: Any) -> None:
    shutil.copytree(starter_path(), here / "broken")
    weights = here / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    code, out, err = said(capsys, "upload", "broken")
    assert code == 3 and "`broken:v1` failed" in out and "error" in out, out + err
    assert said(capsys, "registry", "show", "broken:v1")[0] != 0


def test_a_dry_run_lists_the_files_and_asks_nobody(here: Path, capsys: Any) -> None:
    (here / "model").mkdir()
    (here / "model/config.json").write_text("{}")
    (here / "model/.hidden").write_text("x")
    code, out, err = said(capsys, "upload", "model", "--dry_run", "--server", "http://127.0.0.1:1")
    assert code == 0 and "config.json" in out and ".hidden" in err and "`model`" in out


def test_without_a_service_the_local_way_is_named(
    here: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOZHU_SERVER")
    code, _, err = said(capsys, "upload", "model")
    assert code == 2 and "UPLOAD-014" in err and "mozhu registry register model" in err


def test_registering_at_a_service_sends_the_files(here: Path, service: Running, capsys: Any) -> None:
    shutil.copytree(starter_path(), here / "second")
    code, out, err = said(
        capsys, "registry", "register", "second", "--description", "as registered", "--quiet"
    )
    assert code == 0 and "`second:v1` is ready" in out, out + err
    assert service.get("/api/v1/models/second").json()["model"]["description"] == "as registered"
    code, _, err = said(capsys, "registry", "register", "second", "--task", "qa")
    assert code == 2 and "API-022" in err
