"""What may be asked of something that a stranger hands in."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mozhu.specs.base import Positive, Spec


class InspectSpec(Spec):
    """Say what a file, archive or folder is, and make it safe to use in the run folder.

    ``convert``: pickled weights become safetensors, in a process that may do nothing else. ``limit_bytes``: how much
    an archive may unpack to. ``whole``: everything that is clean is kept, whether it is a model or not. ``certify``: a
    manifest and a certificate lie beside what is clean. ``output_dir`` None: a folder of its own in ``6_output/``.
    """

    verb: ClassVar[str] = "inspect"
    not_part_of_the_run: ClassVar[frozenset[str]] = frozenset({"output_dir"})
    path_fields: ClassVar[tuple[str, ...]] = ("path", "output_dir")

    path: str = Field(min_length=1)
    output_dir: str | None = None
    convert: bool = True
    limit_bytes: Positive = 64 << 30
    whole: bool = False
    certify: bool = False
