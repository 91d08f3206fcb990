"""``mozhu datasets validate NAME:VERSION``: whether every byte is as it was; exit 3 when one is not."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.platform.catalog.datasets.views import DatasetReport
from mozhu.specs.datasets import DatasetValidateSpec


def act(call: Call) -> int:
    report: DatasetReport = answer(call)
    call.output.data(report.to_json(), "\n".join(report_lines(report)))
    return report.exit_code


def report_lines(report: DatasetReport) -> list[str]:
    """The verdict, then every problem with its file."""
    if report.is_whole:
        counts = {"rows": report.row_count, "files": report.file_count, "size": human_size(report.size_bytes)}
        return [text("datasets.validate.whole", path=report.path, **counts)]
    head = text("datasets.validate.damaged", path=report.path, count=len(report.problems))
    return [head, *(f"  {problem.line()}" for problem in report.problems)]


COMMAND = Command(
    "datasets validate", act, DatasetValidateSpec, words=1, first_word="path", usage="NAME:VERSION|FOLDER"
)
