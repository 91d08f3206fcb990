"""``mozhu registry register --path FOLDER``: a model, an adapter, a GGUF file or a run as a new version."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.cli.registry_validate import report_lines
from mozhu.kernel.texts import text
from mozhu.platform.catalog.service import registry_register, registry_validate
from mozhu.specs.registry import RegisterSpec, ValidateSpec
from mozhu.workspace.places import with_absolute_paths


def act(call: Call) -> int:
    root = call.home.root
    spec: RegisterSpec = with_absolute_paths(call.spec)
    if call.dry_run:
        report = registry_validate(root, ValidateSpec(model_path=spec.path))
        call.output.data(
            {"would_register": spec.model_dump(mode="json"), **report.to_json()},
            "\n".join(report_lines(report)),
        )
        return report.exit_code
    done = registry_register(root, spec)
    version = done.version
    words = text(
        "registry.register.already" if done.already else "registry.register.done",
        reference=version.reference,
        state=version.state_word,
        path=f"5_models/{version.path}",
    )
    if version.state == "checking":
        words += "\n" + text("registry.register.checking", reference=version.reference)
    call.output.data(done.to_json(), words)
    for problem in done.warnings:
        call.output.say(f"{text('registry.level.warning')}: {problem.line()}")
    return 0


COMMAND = Command(
    "registry register", act, RegisterSpec, switches=("dry_run",), words=1, first_word="path", usage="FOLDER"
)
