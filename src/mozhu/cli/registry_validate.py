"""``mozhu registry validate --model_path FOLDER``: whether a model is whole; exit 3 when it is damaged."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.kernel.files import human_size
from mozhu.kernel.paths import workspace_or_here
from mozhu.kernel.texts import text
from mozhu.platform.catalog.service import registry_validate
from mozhu.specs.registry import ValidateSpec
from mozhu.workspace.places import with_absolute_paths


def act(call: Call) -> int:
    spec: ValidateSpec = with_absolute_paths(call.spec)
    report = registry_validate((call.workspace or workspace_or_here()).root, spec)
    if call.output.as_json:
        call.output.data(report.to_json())
        return report.exit_code
    if report.is_whole:
        print(
            text(
                "registry.validate.whole",
                path=report.path,
                files=report.file_count,
                size=human_size(report.size_bytes),
                warnings=len(report.warnings),
            )
        )
    else:
        errors, warnings = len(report.errors), len(report.warnings)
        print(text("registry.validate.damaged", path=report.path, errors=errors, warnings=warnings))
    for problem in (*report.errors, *report.warnings):
        print(f"  {text('registry.level.' + problem.level)}: {problem.line()}")
    return report.exit_code


COMMAND = Command("registry validate", act, ValidateSpec, words=1, first_word="model_path", usage="FOLDER")
