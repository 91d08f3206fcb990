"""``mozhu registry validate --model_path FOLDER``: whether a model is whole; exit 3 when it is damaged."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.platform.catalog.views import ValidationReport
from mozhu.specs.registry import ValidateSpec


def act(call: Call) -> int:
    report: ValidationReport = answer(call)
    if call.output.as_json:
        call.output.data(report.to_json())
        return report.exit_code
    print("\n".join(report_lines(report)))
    return report.exit_code


def report_lines(report: ValidationReport) -> list[str]:
    """The verdict, then every problem with its file."""
    if report.is_whole:
        size, warnings = human_size(report.size_bytes), len(report.warnings)
        head = text(
            "registry.validate.whole", path=report.path, files=report.file_count, size=size, warnings=warnings
        )
    else:
        counts = {"errors": len(report.errors), "warnings": len(report.warnings)}
        head = text("registry.validate.damaged", path=report.path, **counts)
    problems = (*report.errors, *report.warnings)
    return [head, *(f"  {text('registry.level.' + problem.level)}: {problem.line()}" for problem in problems)]


COMMAND = Command("registry validate", act, ValidateSpec, words=1, first_word="model_path", usage="FOLDER")
