"""``mozhu registry register --path FOLDER``: a model, an adapter, a GGUF file or a run as a new version."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.kernel.paths import workspace_or_here
from mozhu.kernel.texts import text
from mozhu.platform.catalog.service import registry_register
from mozhu.specs.registry import RegisterSpec
from mozhu.workspace.places import with_absolute_paths


def act(call: Call) -> int:
    spec: RegisterSpec = with_absolute_paths(call.spec)
    done = registry_register((call.workspace or workspace_or_here()).root, spec)
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


COMMAND = Command("registry register", act, RegisterSpec, words=1, first_word="path", usage="FOLDER")
