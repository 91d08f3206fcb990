"""An upload that is cut at random, its service and its client killed inside parts, sends nothing twice that was there.

Client and service are the product's own, each a process; what is counted is counted on the wire between them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from benchmarks.upload_cuts import CutUpload
from benchmarks.upload_wire import random_cuts


@pytest.mark.slow
def test_an_upload_survives_random_cuts_and_kills_of_both_sides(tmp_path: Path) -> None:
    content = os.urandom((60 << 20) + 4321)
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    cuts = random_cuts(len(content), {"line": 6, "server": 3, "client": 3}, seed=3)
    sending = CutUpload(tmp_path, path, cuts)
    done = sending.run()
    assert done.seen.cuts == {"line": 6, "server": 3, "client": 3}
    assert done.seen.repeated == set()
    assert done.seen.acknowledged <= set(range(1, 14))
    assert 0 <= done.seen.bytes - len(content) <= done.seen.in_flight_bytes
    expected = hashlib.sha256(content).hexdigest()
    assert done.upload["state"] == "complete"
    assert [file["sha256"] for file in done.upload["files"]] == [f"sha256:{expected}"]
    blobs = sending.service.workspace / "5_models" / "blobs"
    blob = blobs / "sha256" / expected[:2] / expected
    assert hashlib.sha256(blob.read_bytes()).hexdigest() == expected
    assert list((blobs / "uploads").iterdir()) == [] and list((tmp_path / "records").iterdir()) == []
    assert max(done.service_peak_bytes, done.client_peak_bytes) < 100 << 20
