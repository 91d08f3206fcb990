"""``mozhu datasets register FOLDER``: a prepared snapshot as a version of a data set."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.cli.datasets_validate import report_lines
from mozhu.cli.datasets_words import registered_words
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.platform.catalog.datasets.service import datasets_register, datasets_validate
from mozhu.specs.datasets import DatasetRegisterSpec, DatasetValidateSpec
from mozhu.workspace.places import with_absolute_paths


def act(call: Call) -> int:
    spec: DatasetRegisterSpec = with_absolute_paths(call.spec)
    if call.dry_run:
        return _would_register(call, spec)
    done = datasets_register(call.home.root, spec)
    call.output.data(done.to_json(), registered_words(done))
    return 0


def _would_register(call: Call, spec: DatasetRegisterSpec) -> int:
    report = datasets_validate(call.home.root, DatasetValidateSpec(path=spec.path))
    words = text(
        "datasets.register.would",
        path=report.path,
        rows=report.row_count,
        size=human_size(report.size_bytes),
        content=report.content[:19],
    )
    value = {"would_register": spec.model_dump(mode="json"), **report.to_json()}
    call.output.data(value, words if report.is_whole else "\n".join(report_lines(report)))
    return report.exit_code


COMMAND = Command(
    "datasets register",
    act,
    DatasetRegisterSpec,
    switches=("dry_run",),
    words=1,
    first_word="path",
    usage="FOLDER",
)
