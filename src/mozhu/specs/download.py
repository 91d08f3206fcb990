"""What may be asked of a hub: one model, as files on this machine."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import RemoteSpec, Words

Hub = Literal["huggingface", "modelscope"]


class DownloadSpec(RemoteSpec):
    """A model from a hub.

    ``output_dir`` None: into the hub's own cache, where ``owner/name`` is found from then on. ``revision`` is a branch,
    a tag or a commit. ``include``: patterns of files that are not taken by themselves (pickles, GGUF, code). ``hub``
    named here allows the network for this command; None is what the settings allow.
    """

    verb: ClassVar[str] = "download"
    path_fields: ClassVar[tuple[str, ...]] = ("output_dir",)

    model: str = Field(min_length=1)
    output_dir: str | None = None
    revision: str | None = None
    include: Words = ()
    hub: Hub | None = None
