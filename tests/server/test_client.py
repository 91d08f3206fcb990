"""The client says what the service says, in the same errors, and goes on where a connection broke."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from registry_artefacts import write_adapter
from running import Running

from mozhu.client.async_client import AsyncClient
from mozhu.client.client import Client
from mozhu.client.problems import error_of
from mozhu.kernel.errors import NotSignedIn, ServiceUnreachable, StrangeAnswer, UnknownReference


def client_of(service: Running) -> Client:
    return Client(service.address, service.composition.token.token)


def test_the_client_reads_what_the_registry_says(stocked: Running) -> None:
    registry = stocked.composition.registry
    with client_of(stocked) as client:
        assert client.models()["items"] == [model.to_json() for model in registry.list_models()]
        assert client.model("medical:v1")["chosen"]["label"] == "v1"
        assert [model["name"] for model in client.all_models()] == ["shop", "medical"]
        assert client.rescan(keep=False)["added"] == []
        assert client.validate_model("medical:v1")["is_whole"]


def test_both_clients_answer_alike(stocked: Running) -> None:
    async def asked() -> Any:
        async with AsyncClient(stocked.address, stocked.composition.token.token) as client:
            names = [model["name"] async for model in client.all_models()]
            return await client.model("medical"), names

    detail, names = asyncio.run(asked())
    with client_of(stocked) as client:
        assert detail == client.model("medical") and names == ["shop", "medical"]


def test_a_refusal_is_the_catalogue_s_own_error(service: Running) -> None:
    with client_of(service) as client, pytest.raises(UnknownReference) as refused:
        client.model("nothing@latest")
    assert refused.value.exit_code == 5 - 2 and "nothing@latest" in refused.value.what
    with Client(service.address, "wrong") as client, pytest.raises(NotSignedIn):
        client.models()


def test_nobody_there_is_said(service: Running) -> None:
    with Client("http://127.0.0.1:1", "x") as client, pytest.raises(ServiceUnreachable):
        client.models()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"code": "NEW-999", "params": {}, "title": "x"}',
        b'{"code": "REG-001", "params": {}}',
    ],
)
def test_an_answer_of_something_else_is_said(content: bytes) -> None:
    assert isinstance(error_of("http://x", 400, content), StrangeAnswer)


def test_events_come_once_each_over_a_broken_stream(start: Callable[..., Running], tmp_path: Path) -> None:
    service = start()
    registry = service.composition.registry
    registry.register(write_adapter(tmp_path / "a", seed=1), name="first")
    seen: list[Any] = []
    enough = threading.Event()

    def listen() -> None:
        with client_of(service) as client:
            for event in client.watch(after=0):
                seen.append((event["id"], event["what"], event["model"]))
                if len(seen) >= 3:
                    enough.set()
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    registry.register(write_adapter(tmp_path / "b", seed=2), name="second")
    registry.register(write_adapter(tmp_path / "c", seed=3), name="third")
    assert enough.wait(30)
    thread.join(10)
    assert [line[2] for line in seen] == ["first", "second", "third"]
    with client_of(service) as client:
        again = client.watch(after=seen[1][0])
        assert next(again)["model"] == "third"
        assert client.events(after=seen[0][0])["items"][0]["model"] == "second"
