"""``mozhu registry show NAME``: a model, its versions and its history."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.platform.catalog.views import ModelDetail, ModelView, VersionView
from mozhu.specs.registry import ShowSpec

_COLUMNS = ("version", "state", "kind", "certified", "size", "registered", "path")


def act(call: Call) -> int:
    detail: ModelDetail = answer(call)
    if call.output.as_json:
        call.output.data(detail.to_json())
        return 0
    print("\n".join(_facts(detail.model, detail.chosen)))
    rows = [
        (
            version.label,
            version.state_word,
            text(f"registry.kind.{version.kind}"),
            text(f"registry.certified.{'yes' if version.certified else 'no'}"),
            version.size,
            version.registered[:19],
            f"5_models/{version.path}",
        )
        for version in detail.versions
    ]
    call.output.table([text(f"registry.column.{name}") for name in _COLUMNS], rows, value=None)
    if detail.next is not None:
        older = detail.model.version_count - len(detail.versions)
        call.output.say(text("registry.show.more", count=older))
    return 0


def _facts(model: ModelView, version: VersionView) -> list[str]:
    performance = ", ".join(f"{name} {value:g}" for name, value in version.performance.items())
    facts = {
        "base_model": version.base_model,
        "model_type": version.model_type,
        "task": version.task,
        "dataset": version.training_dataset,
        "steps": version.training_steps,
        "performance": performance,
        "tags": ", ".join(version.tags),
        "checksum": version.checksum,
        "description": version.description or model.description,
        "notes": version.notes,
        "licence": model.licence,
        "visibility": model.visibility,
        "owner": f"{model.owner} ({model.team})",
    }
    return [
        version.reference,
        *(f"  {text('registry.column.' + key)}: {value}" for key, value in facts.items() if value),
    ]


COMMAND = Command("registry show", act, ShowSpec, words=1, first_word="name", usage="NAME")
