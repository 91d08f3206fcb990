"""A service that runs, and a client that bears its token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from mozhu.app import Composition


@dataclass
class Running:
    """``http`` bears the token."""

    address: str
    composition: Composition
    http: httpx2.Client

    def get(self, path: str, **given: Any) -> httpx2.Response:
        return self.http.get(path, **given)

    def post(self, path: str, **given: Any) -> httpx2.Response:
        return self.http.post(path, **given)
