"""An upload that is cut at random, its server killed inside parts, sends nothing twice that was acknowledged."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from benchmarks.upload_sender import Sender, Server, random_cuts


@pytest.mark.slow
def test_an_upload_survives_random_cuts_and_kills_of_the_server(tmp_path: Path) -> None:
    content = os.urandom((60 << 20) + 4321)
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    root = tmp_path / "server"
    root.mkdir()
    server = Server(root)
    try:
        sender = Sender(server, path, threads=3, cuts=random_cuts(len(content), 12, 4, seed=3))
        done = sender.send()
    finally:
        server.kill()
    sent = sender.sent
    assert (sent.cuts, sent.kills) == (12, 4)
    assert sent.repeated == set()
    assert sent.bytes - len(content) <= sent.in_flight_bytes
    expected = hashlib.sha256(content).hexdigest()
    assert done["state"] == "complete" and done["files"][0]["sha256"] == f"sha256:{expected}"
    blob = root / "blobs" / "sha256" / expected[:2] / expected
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == expected
    assert server.peak_bytes < 100 << 20
    assert list((root / "blobs" / "uploads").iterdir()) == []
