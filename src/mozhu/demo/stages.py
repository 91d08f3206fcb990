"""The stages of the demo, each through the same functions that a user calls; a second run finds them done."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mozhu import api
from mozhu.kernel import slots
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_jsonl, write_json
from mozhu.kernel.paths import workspace_or_here
from mozhu.kernel.texts import has_text, text
from mozhu.specs.records.certificate import Certificate

Say = Callable[[str], None]
_QUANTIZATION = "Q8_0"
_MOST_NEW_TOKENS = 128
_MOST_SCORED = 40
_SHOWN_METRICS = ("perplexity", "rougeL")
_PROOFS = ("max_abs_logit_difference", "top1_agreement", "adapter_effect")
# A real model on real rows: one pass, and not more than this many steps.
_REAL_MODEL = {"preset": "lora", "num_train_epochs": 1, "max_steps": 100}
_STARTER = {"preset": "starter"}


@dataclass
class Stage:
    """One line of the closing table."""

    name: str
    made: str
    place: str
    seconds: float


@dataclass
class Story:
    """All that the demo did; ``demo.json`` and the report are made of it."""

    model: str
    dataset: str
    stages: list[Stage] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    question: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Demo:
    """The demo in ``folder``. ``quiet`` hides the runs' own progress."""

    def __init__(
        self, folder: Path, model: str, dataset: str | None, say: Say, *, quiet: bool = False
    ) -> None:
        self.folder = folder
        self.say = say
        self.quiet = quiet
        self.is_starter = model == "starter"
        self.raw = dataset
        self.story = Story(model, dataset or "sample")

    def run(self) -> Story:
        """Every stage in order; raises what a stage raises, and leaves what was made."""
        stages: list[tuple[str, Callable[[], tuple[str, Path | str]]]] = [
            ("data", self._data),
            ("prepare", self._prepare),
            ("forecast", self._forecast),
            ("train", self._train),
            ("evaluate", self._evaluate),
            ("merge", self._merge),
            ("convert", self._convert),
            ("register", self._register),
            ("ask", self._ask),
            ("faults", self._faults),
        ]
        for number, (name, act) in enumerate(stages, start=1):
            self.say(text("demo.stage", number=number, total=len(stages), name=text(f"demo.{name}")))
            started = time.monotonic()
            made, place = act()
            seconds = time.monotonic() - started
            self.story.stages.append(Stage(name, made, str(place), round(seconds, 1)))
            self.say(f"    {made}  ({seconds:.1f} s)")
        write_json(self.folder / "demo.json", self.story.to_json())
        slots.load("mozhu.rooms", "demo_report")(self.folder)
        return self.story

    @property
    def _prepared(self) -> Path:
        return self.folder / "data"

    @property
    def _adapter(self) -> Path:
        return self.folder / "train" / "lora_adapter"

    @property
    def _merged(self) -> Path:
        return self.folder / "merged_model"

    def _data(self) -> tuple[str, Path]:
        if self.raw is None:
            self.raw = str(api.sample(self.folder / "raw"))
        return text("demo.made.data", path=Path(self.raw).name), Path(self.raw)

    def _prepare(self) -> tuple[str, Path]:
        run = api.prepare(
            input=str(self.raw),
            output_dir=str(self._prepared),
            output_name="rows",
            max_rejected_share=1.0,  # the story tells how many cannot be used
            run_folder=self.folder / "prepare",
            quiet=True,
        )
        self.story.runs["prepare"] = str(run.folder)
        counts = {name: int(value) for name, value in run.metrics.items()}
        self.story.metrics["rows"] = counts
        return text("demo.made.prepare", **counts), self._prepared

    def _forecast(self) -> tuple[str, str]:
        forecast = api.forecast(**self._training_fields())
        self.story.metrics["forecast"] = forecast.to_json()
        minutes, seconds = divmod(round(forecast.seconds), 60)
        size = forecast.peak_memory_bytes / (1 << 30)
        return text("demo.made.forecast", time=f"{minutes}:{seconds:02d}", memory=f"{size:.1f}"), "-"

    def _train(self) -> tuple[str, Path]:
        run = api.train(**self._training_fields(), output_dir=str(self.folder / "train"), quiet=self.quiet)
        self.story.runs["train"] = str(run.folder)
        details = run.result.details
        self.story.metrics["train"] = {**run.metrics, **details}
        losses = [event["loss"] for event in run.events() if event["kind"] == "step"]
        return text(
            "demo.made.train", steps=details["steps"], first=f"{losses[0]:.2f}", last=f"{losses[-1]:.2f}"
        ), (self._adapter)

    def _evaluate(self) -> tuple[str, Path]:
        run = api.evaluate(
            checkpoint=str(self._adapter),
            test_data=str(self._held_out()),
            train_data=str(self._prepared / "rows_train.jsonl"),
            max_rows=_MOST_SCORED,
            max_new_tokens=_MOST_NEW_TOKENS,
            run_folder=self.folder / "evaluate",
            quiet=self.quiet,
        )
        self.story.runs["evaluate"] = str(run.folder)
        scored = json.loads((run.folder / "evaluation.json").read_text(encoding="utf-8"))
        self.story.metrics["evaluate"] = scored
        return text("demo.made.evaluate", words=_scores(scored)), run.folder / "report.html"

    def _merge(self) -> tuple[str, Path]:
        run = api.merge(
            adapter=str(self._adapter),
            output_path=str(self._merged),
            run_folder=self.folder / "merge",
            quiet=self.quiet,
        )
        self.story.runs["merge"] = str(run.folder)
        return text("demo.made.merge", words=_proof(self._merged)), self._merged

    def _convert(self) -> tuple[str, Path]:
        run = api.convert(
            model=str(self._merged),
            quantization=_QUANTIZATION,
            model_name="demo",
            output_path=str(self.folder / "gguf"),
            create_modelfile=True,
            run_folder=self.folder / "convert",
            quiet=self.quiet,
        )
        self.story.runs["convert"] = str(run.folder)
        size = self._gguf().stat().st_size / 1e6
        return text("demo.made.convert", kind=_QUANTIZATION, size=f"{size:.1f}"), self._gguf()

    def _register(self) -> tuple[str, Path]:
        name = f"{Path(self.story.model).name}-demo"
        for path in (self.folder / "train", self._merged, self._gguf().parent):
            done = api.register(str(path), name=name, base_model=self.story.model)
            self.story.versions.append(done.version.reference)
        return text("demo.made.register", versions=", ".join(self.story.versions)), workspace_or_here().models

    def _ask(self) -> tuple[str, str]:
        row = next(iter(read_jsonl(self._prepared / "rows_train.jsonl")))
        asked = [message for message in row["messages"] if message["role"] != "assistant"]
        self.story.question = asked[-1]["content"]
        checkpoints = {
            "base": self.story.model,
            "adapter": str(self._adapter),
            "merged": str(self._merged),
            "gguf": str(self._gguf()),
        }
        for name, checkpoint in checkpoints.items():
            with api.chat(checkpoint, max_new_tokens=_MOST_NEW_TOKENS) as chat:
                self.story.answers[name] = chat.ask(self.story.question)
        self.say(f"    {text('demo.question')}: {self.story.question}")
        for name, answer in self.story.answers.items():
            self.say(f"      {text('demo.answer.' + name)}: {answer}")
        return text("demo.made.ask"), "-"

    def _faults(self) -> tuple[str, str]:
        """Two faults in copies: the certificate must refuse the one, merging the other."""
        with tempfile.TemporaryDirectory(dir=self.folder) as temporary:
            place = Path(temporary)
            self.story.faults = [self._changed_eos(place), self._no_effect(place)]
        for fault in self.story.faults:
            why = " ".join(filter(None, (fault["code"], fault["why"])))
            self.say(f"    {text('demo.fault.' + fault['name'])}: {text('demo.refused')} {why}")
        return text("demo.made.faults", count=sum(fault["refused"] for fault in self.story.faults)), "-"

    def _changed_eos(self, place: Path) -> dict[str, Any]:
        faulty = place / "changed_eos"
        shutil.copytree(self._merged, faulty)
        slots.load("mozhu.rooms", "plant_changed_eos")(faulty)
        found = slots.load("mozhu.rooms", "find_model")(str(self._adapter))
        certificate = slots.load("mozhu.rooms", "certify_merge")(found.base, self._adapter, faulty)
        failed = [check.name for check in certificate.checks if not check.ok]
        return {
            "name": "changed_eos",
            "refused": not certificate.passed,
            "code": "",
            "why": ", ".join(failed),
        }

    def _no_effect(self, place: Path) -> dict[str, Any]:
        faulty = place / "no_effect"
        shutil.copytree(self._adapter, faulty)
        slots.load("mozhu.rooms", "plant_no_effect_adapter")(faulty)
        try:
            api.merge(
                adapter=str(faulty), output_path=str(place / "out"), run_folder=place / "run", quiet=True
            )
        except MozhuError as error:
            return {"name": "no_effect", "refused": True, "code": error.code, "why": error.what}
        return {"name": "no_effect", "refused": False, "code": "", "why": ""}

    def _training_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = dict(_STARTER if self.is_starter else _REAL_MODEL)
        validation = self._prepared / "rows_validation.jsonl"
        fields |= {"model": self.story.model, "dataset": str(self._prepared / "rows_train.jsonl")}
        if validation.stat().st_size:
            return {**fields, "val_dataset": str(validation)}
        return {**fields, "validation_split": 0.0}

    def _held_out(self) -> Path:
        """The test rows; with fewer than three rows there are none, and the training rows are all there is."""
        test = self._prepared / "rows_test.jsonl"
        return test if test.stat().st_size else self._prepared / "rows_train.jsonl"

    def _gguf(self) -> Path:
        return next((self.folder / "gguf").glob("*.gguf"))


def is_done(folder: Path) -> bool:
    """Whether the demo in ``folder`` ran to its end."""
    return (folder / "demo.json").is_file() and (folder / "report.html").is_file()


def read_story(folder: Path) -> Story:
    value = json.loads((folder / "demo.json").read_text(encoding="utf-8"))
    value["stages"] = [Stage(**stage) for stage in value["stages"]]
    return Story(**value)


def _proof(merged: Path) -> str:
    """The figures that the merge's certificate stands on."""
    certificate = Certificate.read(merged / "certificate.json")
    found = {check.name: check for check in certificate.checks}
    shown = [found[name] for name in _PROOFS if name in found]
    return ", ".join(f"{_named(check.name)} {_short(check.value)} ({_short(check.limit)})" for check in shown)


def _named(check: str) -> str:
    key = f"report.check.{check}"
    return text(key) if has_text(key) else check


def _scores(scored: dict[str, Any]) -> str:
    """Perplexity and ROUGE-L, base -> tuned, on training and held-out rows."""
    parts = []
    for name, part in scored.get("sets", {}).items():
        for metric in _SHOWN_METRICS:
            values = part["metrics"].get(metric, {})
            if values.get("base") is not None:
                change = f"{_short(values['base'])} → {_short(values['tuned'])}"
                parts.append(f"{text('demo.set.' + name)} {metric} {change}")
    return "; ".join(parts)


def _short(value: Any) -> str:
    number = value.get("value") if isinstance(value, dict) else value
    return f"{number:.3g}" if isinstance(number, (int, float)) else str(number)
