"""``mozhu registry register --path FOLDER``: a model, an adapter, a GGUF file or a run as a new version, here or at a
service.
"""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.cli.registry_validate import report_lines
from mozhu.cli.remote import server_of
from mozhu.cli.upload import send
from mozhu.kernel.errors import NotRemote
from mozhu.kernel.texts import text
from mozhu.platform.catalog.service import registry_register, registry_validate
from mozhu.specs.registry import RegisterAnywhereSpec, RegisterSpec, ValidateSpec
from mozhu.specs.uploads import UploadSpec
from mozhu.workspace.places import with_absolute_paths


def act(call: Call) -> int:
    root = call.home.root
    spec: RegisterSpec = with_absolute_paths(call.spec)
    server = server_of(call)
    if server is not None:
        return send(call, as_upload(spec), server)
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


def as_upload(spec: RegisterSpec) -> UploadSpec:
    """The same wishes for a service, which reads the task and the kind of training from the files' own records.

    Raises:
        NotRemote: API-022, for what only the workspace itself can do.
    """
    for name in ("task", "model_type", "copy_files"):
        if getattr(spec, name):
            raise NotRemote(verb=f"registry register --{name}", reason="")
    return UploadSpec(
        path=spec.path,
        name=spec.name,
        version=spec.version,
        description=spec.description,
        tags=spec.tags,
        base=spec.base_model,
    )


COMMAND = Command(
    "registry register",
    act,
    RegisterAnywhereSpec,
    switches=("dry_run", "quiet"),
    words=1,
    first_word="path",
    usage="FOLDER",
)
