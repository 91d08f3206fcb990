"""A part of the system that a test needs: skipped with a reason where it is missing, a failure with CI=true."""

from __future__ import annotations

import os

import pytest


def require(name: str, missing: list[str]) -> None:
    if not missing:
        return
    reason = f"{name}: {', '.join(missing)} not installed; `python tools/services.py` installs them"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
