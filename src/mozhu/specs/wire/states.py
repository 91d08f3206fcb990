"""The states of a version on its way: 上传中, 校验中, 就绪, 失败."""

from __future__ import annotations

from typing import Literal

State = Literal["uploading", "checking", "ready", "failed"]
