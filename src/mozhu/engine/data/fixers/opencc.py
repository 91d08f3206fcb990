"""OpenCC's converters; imported only where texts are converted."""

from __future__ import annotations

from opencc import OpenCC

__all__ = ["OpenCC"]
