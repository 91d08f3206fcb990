"""``mozhu verify ARTEFACT``: whether it is still the one that its certificate is about; exit 5 when it is not."""

from __future__ import annotations

from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import watched_here
from mozhu.kernel import slots
from mozhu.kernel.errors import CertificateFailed
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.certificates import VerifySpec
from mozhu.workspace.places import with_absolute_paths

_LOOKED = ("files", "headers", "tensors", "checks")


def act(call: Call) -> int:
    spec: VerifySpec = with_absolute_paths(with_references(call.spec, call.home))
    if spec.deep:
        call.output.say(text("export.certify.working", path=call.spec.model))
    with watched_here(call) as emit:
        found: Any = slots.load("mozhu.rooms", "verify")(spec, emit)
    call.output.data(found.to_json(), "\n".join(_lines(found)))
    return 0 if found.holds else CertificateFailed.exit_code


def _lines(found: Any) -> list[str]:
    kind, path = found.kind, found.artefact
    if found.certificate is None:
        return _of_weights(found)
    if found.holds:
        lines = [text("export.verify.holds", path=path, kind=kind, looked=_looked(found) or "-")]
    else:
        count = sum(item.level == "error" for item in found.differences)
        lines = [text("export.verify.broken", path=path, kind=kind, count=count)]
    lines += [f"  {text('registry.level.' + item.level)}: {item.words}" for item in found.differences]
    return lines if found.measured is not None else [*lines, f"  {text('export.verify.no_measure')}"]


def _of_weights(found: Any) -> list[str]:
    """Weights that no certificate speaks of."""
    page = "export.verify.bare_holds" if found.holds else "export.verify.bare_broken"
    lines = [text(page, path=found.artefact, looked=_looked(found))]
    return lines + [f"  {text('registry.level.' + item.level)}: {item.words}" for item in found.differences]


def _looked(found: Any) -> str:
    return ", ".join(
        text(f"export.verify.looked.{name}", count=found.looked_at[name])
        for name in _LOOKED
        if name in found.looked_at
    )


COMMAND = Command("verify", act, VerifySpec, words=1, first_word="model", usage="ARTEFACT")
