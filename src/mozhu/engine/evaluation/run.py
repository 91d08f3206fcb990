"""``mozhu evaluate``: the tuned model and its base on the same rows; numbers, row table, report."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel

from mozhu.engine.data.dataset import LoadedRows, load_rows
from mozhu.engine.evaluation.compare import Compared, compare
from mozhu.engine.evaluation.judge import judge, stage_of
from mozhu.engine.evaluation.progress import Progress
from mozhu.engine.evaluation.report import Report, write_evaluation_report
from mozhu.engine.evaluation.score import LIKELIHOOD, Scored, score_side, work_of
from mozhu.engine.evaluation.sides import Side, base_of, open_tuned
from mozhu.engine.evaluation.table import result_rows, write_table
from mozhu.engine.inference.scores import Scorer, open_scorer
from mozhu.engine.scoring.metrics import Metric, load_metrics
from mozhu.engine.scoring.threads import spare_threads
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.references import FoundModel, find_model
from mozhu.kernel import slots
from mozhu.kernel.errors import NoChatTemplate, NothingToMerge, NothingToScore
from mozhu.kernel.files import read_jsonl, write_json, write_jsonl
from mozhu.kernel.progress import Emit, iso_time, utc_now
from mozhu.kernel.texts import text
from mozhu.specs.evaluate import EvaluateSpec
from mozhu.specs.export import MergeSpec
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.result import Artefact, Outcome

RESULTS, TABLE, ROWS, REPORT = (
    "evaluation.json",
    "evaluation_results.csv",
    "evaluation_results.jsonl",
    "report.html",
)
_SHOWN_SAMPLES = 3


@dataclass(frozen=True)
class DataSet:
    """One set of rows that is scored. ``name`` is ``test`` or ``train``."""

    name: str
    ref: str
    loaded: LoadedRows
    rows: list[dict[str, Any]]


@dataclass
class Both:
    """What both models did on one set of rows."""

    tuned: Scored
    base: Scored | None = None


@spare_threads()
def run_evaluate(spec: EvaluateSpec, folder: Path, emit: Emit) -> Outcome:
    """Score ``spec.checkpoint`` and its base; write the numbers, row table and report into ``folder``.

    Writes ``evaluation.json``, ``evaluation_results.csv`` (also to ``spec.output``), the same rows with exact
    texts as ``evaluation_results.jsonl``, and ``report.html``. Nothing is written before everything is scored.

    Raises:
        NothingToScore: EVAL-001. BaseChanged: EVAL-002. BadMetric: EVAL-003. NothingToMerge: EVAL-004.
        What finding and loading models and data raises.
    """
    found = find_model(spec.checkpoint, base=spec.base_model)
    metrics = load_metrics([name for name in spec.metrics if name not in LIKELIHOOD])
    merged = _merge(spec, found, folder, emit) if spec.merge else Outcome()
    scorer = open_scorer(found, dtype=spec.dtype, device=spec.device) if spec.test_data else None
    sets = _data_sets(spec, stage_of(scorer) if scorer else "sft")
    if not sets:
        return merged
    if scorer:
        scored, same_tokens = _judge_all(scorer, sets, emit), True
    else:
        scored, same_tokens = _score_all(spec, found, sets, metrics, emit)
    compared = {
        name: compare(both.tuned, both.base, seed=spec.seed, same_tokens=same_tokens)
        for name, both in scored.items()
    }
    if not compared["test"]:
        raise NothingToScore(ref=sets[0].ref, rows=len(sets[0].rows))
    _write_all(spec, found, folder, sets, scored, compared)
    _show_samples(sets[0], scored["test"], emit)
    return Outcome(
        artefacts=[*merged.artefacts, *_artefacts(spec, folder)],
        metrics={metric.name: metric.record() for metric in compared["test"]},
        details={
            **merged.details,
            "rows": len(sets[0].rows),
            "model": str(found.path),
            "base": str(found.base),
        },
    )


def _merge(spec: EvaluateSpec, found: FoundModel, folder: Path, emit: Emit) -> Outcome:
    """The adapter merged by the verb ``merge``, into ``merged_model`` beside it unless told otherwise."""
    if found.adapter is None:
        raise NothingToMerge(checkpoint=spec.checkpoint)
    target = spec.merge_output or str(found.adapter.absolute().parent / "merged_model")
    request = MergeSpec(base_model=str(found.base), adapter=str(found.adapter), output_path=target)
    outcome: Outcome = slots.load("mozhu.verbs", "merge")(request, folder, emit)
    return outcome


def _judge_all(scorer: Scorer, sets: Sequence[DataSet], emit: Emit) -> dict[str, Both]:
    """A model that scores, on every set; its base has no such head to be compared with."""
    progress = Progress(emit, sum(len(data.rows) for data in sets))
    return {data.name: Both(judge(scorer, data.rows, progress)) for data in sets}


def _data_sets(spec: EvaluateSpec, stage: str) -> list[DataSet]:
    wanted = [("test", spec.test_data), ("train", spec.train_data)]
    sets = []
    for name, ref in wanted:
        if ref is not None:
            loaded = load_rows(ref, text_column=spec.text_column, system=spec.system, part=name, stage=stage)
            sets.append(DataSet(name, ref, loaded, loaded.rows[: spec.max_rows]))
    return sets


def _score_all(
    spec: EvaluateSpec, found: FoundModel, sets: Sequence[DataSet], metrics: Sequence[Metric], emit: Emit
) -> tuple[dict[str, Both], bool]:
    """Both models on every set, and whether both read text as the same tokens."""
    other = _other_base(spec, found)
    sides = 2 if spec.compare_base and (found.adapter is not None or other is not None) else 1
    progress = Progress(emit, sides * sum(work_of(data.rows, spec) for data in sets))

    def score(side: Side, data: DataSet) -> Scored:
        _check_template(side, data, found)
        return score_side(side, data.rows, spec, metrics, progress)

    with open_tuned(found, dtype=spec.dtype, device=spec.device) as side:
        scored = {data.name: Both(score(side, data)) for data in sets}
        if sides == 2 and isinstance(side.model, PeftModel):
            with base_of(side) as base:
                for data in sets:
                    scored[data.name].base = score(base, data)
        del side
    gc.collect()
    if other is None or sides == 1:
        return scored, True
    with open_tuned(other, dtype=spec.dtype, device=spec.device) as side:
        for data in sets:
            scored[data.name].base = score(side, data)
    return scored, fingerprint(other.path)["tokenizer"] == fingerprint(found.path)["tokenizer"]


def _other_base(spec: EvaluateSpec, found: FoundModel) -> FoundModel | None:
    """The base to load by itself: for a full model whose base was named."""
    if found.adapter is not None or spec.base_model is None or not spec.compare_base:
        return None
    other = find_model(spec.base_model)
    return other if other.path.resolve() != found.path.resolve() else None


def _check_template(side: Side, data: DataSet, found: FoundModel) -> None:
    """Conversations need a template; without one only texts can be scored."""
    if side.renderer is None and any(row.get("messages") for row in data.rows):
        raise NoChatTemplate(path=str(found.path))


def _write_all(
    spec: EvaluateSpec,
    found: FoundModel,
    folder: Path,
    sets: Sequence[DataSet],
    scored: dict[str, Both],
    compared: dict[str, list[Compared]],
) -> None:
    test = scored["test"]
    rows = result_rows(sets[0].rows, test.tuned, test.base)
    write_jsonl(folder / ROWS, rows)
    for place in dict.fromkeys([folder / TABLE, *([Path(spec.output)] if spec.output else [])]):
        write_table(place, rows)
    write_json(folder / RESULTS, _results(spec, found, sets, scored, compared))
    report = Report(
        name=found.path.parent.name if found.adapter else found.name,
        facts=_facts(spec, found, sets),
        metrics=compared["test"],
        rows=rows,
        rows_file=TABLE,
        train_metrics=compared.get("train", ()),
        events=_training_events(found),
        certificates=_certificates(found),
    )
    write_evaluation_report(folder / REPORT, report)


def _results(
    spec: EvaluateSpec,
    found: FoundModel,
    sets: Sequence[DataSet],
    scored: dict[str, Both],
    compared: dict[str, list[Compared]],
) -> dict[str, Any]:
    """What ``evaluation.json`` holds."""
    return {
        "schema": 1,
        "created": iso_time(utc_now()),
        "model": {"ref": spec.checkpoint, "path": str(found.path), "base": str(found.base)},
        "settings": spec.model_dump(mode="json"),
        "sets": {data.name: _set_record(data, scored[data.name], compared[data.name]) for data in sets},
    }


def _set_record(data: DataSet, both: Both, compared: Sequence[Compared]) -> dict[str, Any]:
    return {
        "ref": data.ref,
        "sha256": data.loaded.sha256,
        "rows": len(data.rows),
        "rejected": len(data.loaded.rejected),
        "answers": len(both.tuned.answers),
        "tokens": both.tuned.tokens,
        "seconds": both.tuned.seconds,
        "base_seconds": both.base.seconds if both.base else None,
        "metrics": {metric.name: asdict(metric) for metric in compared},
        **both.tuned.details,
    }


def _facts(spec: EvaluateSpec, found: FoundModel, sets: Sequence[DataSet]) -> list[tuple[str, str]]:
    facts = [(text("report.fact.model"), found.name)]
    if found.adapter is not None or spec.base_model:
        facts.append((text("report.fact.base"), spec.base_model or found.base.name))
    facts.append((text("report.fact.data"), ", ".join(dict.fromkeys(data.loaded.name for data in sets))))
    facts.append((text("report.fact.made"), iso_time(utc_now())[:19].replace("T", " ") + " UTC"))
    return facts


def _training_events(found: FoundModel) -> list[dict[str, Any]]:
    """The events of the run that made the model, where it lies in its run folder."""
    path = found.path.parent / "events.jsonl"
    return list(read_jsonl(path)) if path.is_file() else []


def _certificates(found: FoundModel) -> list[Certificate]:
    path = found.path / "certificate.json"
    return [Certificate.read(path)] if path.is_file() else []


def _artefacts(spec: EvaluateSpec, folder: Path) -> Iterator[Artefact]:
    yield Artefact(kind="evaluation", path=RESULTS)
    yield Artefact(kind="table", path=TABLE)
    yield Artefact(kind="report", path=REPORT)
    if spec.output:
        yield Artefact(kind="table", path=str(Path(spec.output)))


def _show_samples(data: DataSet, both: Both, emit: Emit) -> None:
    for row in sorted(both.tuned.answers)[:_SHOWN_SAMPLES]:
        base = both.base.answers.get(row) if both.base else None
        emit(
            "sample",
            row=data.rows[row].get("row_id"),
            prompt=both.tuned.asks[row].question,
            reference=both.tuned.asks[row].reference,
            answer=both.tuned.answers[row].text,
            base_answer=base.text if base else None,
        )
