"""For all tests: no setting of this machine reaches them, and nothing in this process reaches the network."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

for _name in [name for name in os.environ if name.startswith("MOZHU_") and name != "MOZHU_TORCH_INDEX"]:
    del os.environ[_name]
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Any:
    """A connection to another machine fails a test; this machine's own addresses are open to it."""
    connect = socket.socket.connect

    def checked(self: socket.socket, address: Any) -> None:
        inside = self.family == socket.AF_UNIX or str(address[0]) in {"127.0.0.1", "::1", "localhost"}
        assert inside, f"a test reached for {address}"
        connect(self, address)

    socket.socket.connect = checked  # type: ignore[method-assign,assignment]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]
