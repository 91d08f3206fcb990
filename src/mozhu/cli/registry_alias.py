"""``mozhu registry alias NAME:VERSION ALIAS``: ``NAME@ALIAS`` is that version from now on."""

from __future__ import annotations

from dataclasses import asdict

from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.platform.catalog.models import Models
from mozhu.platform.catalog.references import parse_reference
from mozhu.specs.registry import AliasSpec


def act(call: Call) -> int:
    spec, keep = call.spec, not call.dry_run
    parsed = parse_reference(spec.name)
    model = parsed.name if parsed else spec.name
    with Models(call.home.root) as models:
        if spec.remove:
            models.remove_alias(model, spec.alias, force=spec.force, keep=keep)
        else:
            models.set_alias(spec.name, spec.alias, protected=spec.protected, force=spec.force, keep=keep)
        there = models.aliases(model)
    words = [
        text("registry.alias.line", name=model, alias=one.name, reference=one.reference) for one in there
    ]
    value = {"dry_run": call.dry_run, "aliases": [asdict(one) for one in there]}
    call.output.data(value, "\n".join(words) or text("registry.alias.none", name=model))
    return 0


COMMAND = Command(
    "registry alias",
    act,
    AliasSpec,
    switches=("dry_run",),
    words=1,
    first_word="name",
    usage="NAME:VERSION --alias ALIAS",
)
