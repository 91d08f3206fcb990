"""``mozhu certify ARTEFACT``: measured against what it was made from; exit 5 when it fails."""

from __future__ import annotations

from typing import Any

from mozhu.cli.certificate_view import show_certificate
from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import watched_here
from mozhu.kernel import slots
from mozhu.kernel.errors import CertificateFailed
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.certificates import CertifySpec
from mozhu.workspace.places import with_absolute_paths


def act(call: Call) -> int:
    spec: CertifySpec = with_absolute_paths(with_references(call.spec, call.home))
    call.output.say(text("export.certify.working", path=call.spec.model))
    with watched_here(call) as emit:
        done: Any = slots.load("mozhu.rooms", "certify")(spec, emit)
    certificate = done.certificate
    code = 0 if certificate.passed else CertificateFailed.exit_code
    if call.output.as_json:
        call.output.data(done.to_json())
        return code
    failed = sum(not check.ok for check in certificate.checks)
    page = "export.certify.passed" if certificate.passed else "export.certify.failed"
    print(text(page, kind=certificate.kind, path=done.artefact, count=failed))
    show_certificate(call.output, certificate)
    print("  " + _written(done.place))
    return code


def _written(place: object) -> str:
    return (
        text("export.certify.not_written") if place is None else text("export.certify.written", place=place)
    )


COMMAND = Command("certify", act, CertifySpec, words=1, first_word="model", usage="ARTEFACT")
