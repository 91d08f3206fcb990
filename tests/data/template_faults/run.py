"""Plants 24 template faults over six families and shows what the parity gate finds: ``python run.py``.

Ends with 0 when every fault is found by its code and nothing is reported on the six clean families.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from families import FAMILIES, make_clean, rows_of
from faults import FAULTS, Fault, as_gguf

from mozhu.engine.data.parity_report import ParityReport
from mozhu.engine.scoring.parity import compare
from mozhu.kernel.texts import set_language


@dataclass(frozen=True)
class Line:
    """One line of the table: what was planted, which codes were reported, and whether that is right."""

    family: str
    kind: str
    name: str
    wanted: tuple[str, ...]
    found: tuple[str, ...]
    where: str
    seconds: float

    @property
    def ok(self) -> bool:
        return bool(set(self.wanted) & set(self.found)) if self.wanted else not self.found


def clean_lines(place: Path) -> list[Line]:
    """The six clean folders, each against itself and against a copy and a GGUF file of itself."""
    return [_line(family, "clean", "-", (), _check_clean(family, place)) for family in FAMILIES]


def fault_lines(place: Path) -> list[Line]:
    """All faults, each in a copy of its clean folder."""
    return [
        _line(fault.family, fault.kind, fault.name, fault.codes, _check_fault(fault, number, place))
        for number, fault in enumerate(FAULTS)
    ]


def clean_folder(family: str, place: Path) -> Path:
    folder = place / family
    return folder if folder.is_dir() else make_clean(family, folder)


def _check_clean(family: str, place: Path) -> ParityReport:
    folder = clean_folder(family, place)
    copy = place / f"{family}-copy"
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    gguf = as_gguf(folder, place / f"{family}.gguf")
    return compare(rows_of(family), str(folder), against=[str(copy), str(gguf)])


def _check_fault(fault: Fault, number: int, place: Path) -> ParityReport:
    folder, faulty = clean_folder(fault.family, place), place / f"fault-{number}"
    shutil.copytree(folder, faulty, dirs_exist_ok=True)
    fault.plant(faulty)
    rows = rows_of(fault.family)
    if fault.kind == "model":
        return compare(rows, str(faulty))
    made = as_gguf(faulty, place / f"fault-{number}.gguf") if fault.kind == "gguf" else faulty
    return compare(rows, str(folder), against=[str(made)])


def _line(family: str, kind: str, name: str, wanted: tuple[str, ...], report: ParityReport) -> Line:
    codes = tuple(dict.fromkeys(finding.code for finding in report.findings if finding.level != "info"))
    first = next((finding for finding in report.findings if finding.code in wanted), None)
    return Line(family, kind, name, wanted, codes, first.words if first else "", report.seconds)


def main() -> int:
    set_language("en")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        faults, clean = fault_lines(Path(folder)), clean_lines(Path(folder))
    for line in [*faults, *clean]:
        mark = "ok  " if line.ok else "FAIL"
        codes = " ".join(line.found) or "nothing"
        print(f"{mark} {line.family:8} {line.kind:6} {line.name:52} {codes:30} {line.seconds:5.2f} s")
        if line.where:
            print(f"     {line.where[:160]!r}")
    found = sum(line.ok for line in faults)
    alarms = sum(not line.ok for line in clean)
    seconds = time.perf_counter() - started
    print(
        f"\n{found} of {len(faults)} template faults found; {alarms} false alarms on {len(clean)} clean families; "
        f"{seconds:.1f} s"
    )
    return 0 if found == len(faults) and not alarms else 1


if __name__ == "__main__":
    sys.exit(main())
