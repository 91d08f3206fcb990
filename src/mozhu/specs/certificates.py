"""What may be asked about certificates: making one for a pair of artefacts, checking one again."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import Spec

CertificateKind = Literal["auto", "adapter", "merge", "full", "conversion", "weights", "quantised", "gguf"]


class CertifySpec(Spec):
    """A certificate for ``model``, measured against what it was made from.

    ``source`` None: as the artefact's own records say. ``adapter``: ``model`` is ``source`` with this adapter merged
    in. ``data`` None: the first rows of its training, where they are known. ``output`` None: beside the artefact,
    when it passes.
    """

    verb: ClassVar[str] = "certify"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "source", "adapter", "data", "output")

    model: str = Field(min_length=1)
    source: str | None = None
    adapter: str | None = None
    kind: CertificateKind = "auto"
    data: str | None = None
    output: str | None = None


class VerifySpec(Spec):
    """Whether an artefact is still the one that its certificate is about.

    ``deep``: measure everything again. ``source`` and ``adapter`` None: where the certificate says they lie.
    """

    verb: ClassVar[str] = "verify"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "source", "adapter", "certificate")

    model: str = Field(min_length=1)
    deep: bool = False
    source: str | None = None
    adapter: str | None = None
    certificate: str | None = None
