"""The verbs as functions: the same specs, layers, runs and errors as the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mozhu.display.progress import open_view
from mozhu.kernel import slots
from mozhu.kernel.errors import RunCancelled, UnsafeUpload
from mozhu.kernel.machine import describe
from mozhu.kernel.paths import find_workspace, workspace_or_here
from mozhu.planning import check_plan, plan_training, warm_process
from mozhu.platform.catalog import service as catalog
from mozhu.platform.catalog import verbs
from mozhu.platform.catalog.datasets import service as data_catalog
from mozhu.platform.catalog.datasets import verbs as data_verbs
from mozhu.references import with_references
from mozhu.specs.adapters import (
    AdapterListSpec,
    AdapterShowSpec,
    CombineSpec,
    CompareSpec,
    ExtractSpec,
    ScaleSpec,
)
from mozhu.specs.base import Spec
from mozhu.specs.certificates import CertifySpec, VerifySpec
from mozhu.specs.config import ConfigImportSpec
from mozhu.specs.data import (
    CheckSpec,
    DataConvertSpec,
    FixSpec,
    ParitySpec,
    PrepareSpec,
    PreviewSpec,
    SampleSpec,
    StatsSpec,
)
from mozhu.specs.datasets import (
    DatasetAliasSpec,
    DatasetCopySpec,
    DatasetDeleteSpec,
    DatasetEditSpec,
    DatasetListSpec,
    DatasetRegisterSpec,
    DatasetRestoreSpec,
    DatasetShareSpec,
    DatasetShowSpec,
    DatasetValidateSpec,
)
from mozhu.specs.download import DownloadSpec
from mozhu.specs.engines import InstallSpec
from mozhu.specs.evaluate import EvaluateSpec
from mozhu.specs.export import ConvertSpec, MergeSpec
from mozhu.specs.inspect import InspectSpec
from mozhu.specs.layers import Layers, Resolved, resolve
from mozhu.specs.records.base import validated
from mozhu.specs.records.result import Result
from mozhu.specs.registry import (
    AliasSpec,
    CopySpec,
    DeleteSpec,
    EditSpec,
    LineageSpec,
    ListSpec,
    RateSpec,
    RegisterSpec,
    ReportSpec,
    RescanSpec,
    RestoreSpec,
    ShareSpec,
    ShowSpec,
    SuggestSpec,
    ValidateSpec,
)
from mozhu.specs.serve import InferSpec, LoadSpec
from mozhu.specs.train import TrainSpec
from mozhu.workspace.environments.install import install_engine, remove_engine
from mozhu.workspace.environments.recipes import RECIPES
from mozhu.workspace.environments.record import Environment, find_environment
from mozhu.workspace.launch import raise_failure, run_to_end, stop_run
from mozhu.workspace.places import check_dataset_name, fresh_run_folder, training_folder, with_absolute_paths
from mozhu.workspace.runs import SPEC, RunFolder, make_run, run_folders
from mozhu.workspace.tree import LaidOut, lay_out
from mozhu.workspace.warm import WarmProcess

S = TypeVar("S", bound=Spec)
Ask = Callable[[str], str]


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and how it ended. ``artefact`` is what it made."""

    folder: Path
    result: Result

    @property
    def artefact(self) -> Path | None:
        return self.folder / self.result.artefacts[0].path if self.result.artefacts else None

    @property
    def metrics(self) -> dict[str, float | int | str]:
        return {name: metric.value for name, metric in self.result.metrics.items()}

    def events(self) -> list[dict[str, Any]]:
        """Every event of the run; the loss curve is ``loss`` of the events whose ``kind`` is ``step``."""
        return RunFolder(self.folder).events()


def train(*, preset: str | None = None, config: str | None = None, quiet: bool = False, **fields: Any) -> Run:
    """Train, or go on with, what the fields of :class:`~mozhu.specs.train.TrainSpec` ask for, with live progress.

    Raises:
        InvalidSpec: SPEC-001. PreflightFailed: TRAIN-005 with everything that stands against it.
        SpecConflict: RUN-002. The run's own error when it fails.
    """
    resolved = _resolved(TrainSpec, preset, config, fields)
    workspace = workspace_or_here()
    spec = with_absolute_paths(with_references(resolved.spec, workspace))
    folder = training_folder(spec, workspace)
    is_new = not (folder / SPEC).exists()
    if is_new and (missing := slots.load("mozhu.rooms", "wanted_from_hub")(spec.model)) is not None:
        _run(missing, {}, fresh_run_folder(missing, workspace), quiet)
    with warm_process(spec) as warm:
        if is_new:
            check_plan(plan_training(spec, folder, resolved.origins)[0])
        return _run(spec, resolved.origins, folder, quiet, warm)


def forecast(*, preset: str | None = None, config: str | None = None, **fields: Any) -> Any:
    """The memory, time and steps that :func:`train` would take with the same fields; nothing is written."""
    spec = _resolved(TrainSpec, preset, config, fields).spec
    spec = with_absolute_paths(with_references(spec, workspace_or_here()))
    return slots.load("mozhu.rooms", "forecast")(spec, describe())


def prepare(*, config: str | None = None, quiet: bool = False, **fields: Any) -> Run:
    """Check, convert and split raw rows; fields are those of :class:`~mozhu.specs.data.PrepareSpec`.

    With ``register_as`` the snapshot is then a version of that data set.
    """
    name = fields.get("register_as")
    if name is not None:
        check_dataset_name(str(name))
    run = _engine_verb(PrepareSpec, None, config, fields, quiet)
    spec: Any = validated(PrepareSpec, RunFolder(run.folder).request().fields, str(run.folder / SPEC))
    if name or spec.register_as:
        datasets_register(spec.output_dir, name=name or spec.register_as)
    return run


def convert_data(*, config: str | None = None, quiet: bool = False, **fields: Any) -> Run:
    """Rows of any shape in another form; fields are those of :class:`~mozhu.specs.data.DataConvertSpec`."""
    return _engine_verb(DataConvertSpec, None, config, fields, quiet)


def check(dataset: str | Path, **fields: Any) -> Any:
    """Every finding in the rows of ``dataset``, duplicates too; fields are those of CheckSpec."""
    spec = _resolved(CheckSpec, None, None, {"dataset": str(dataset), **fields}).spec
    return slots.load("mozhu.rooms", "check")(with_references(spec, workspace_or_here()))


def stats(dataset: str | Path, **fields: Any) -> Any:
    """Lengths, turns, labels, languages, duplicates and samples of ``dataset``; fields are those of StatsSpec."""
    spec = _resolved(StatsSpec, None, None, {"dataset": str(dataset), **fields}).spec
    return slots.load("mozhu.rooms", "stats")(with_references(spec, workspace_or_here()))


def fix_preview(dataset: str | Path, **fields: Any) -> Any:
    """What each fixer would change in ``dataset``, before and after; fields are those of FixSpec."""
    spec = _resolved(FixSpec, None, None, {"dataset": str(dataset), **fields}).spec
    return slots.load("mozhu.rooms", "fix")(with_references(spec, workspace_or_here()))


def import_config(file: str | Path, **fields: Any) -> Any:
    """A training configuration of LLaMA-Factory, ms-swift or Axolotl as ours: ``values``, ``lines``, ``command``.

    Fields are those of :class:`~mozhu.specs.config.ConfigImportSpec`.
    """
    spec = _resolved(ConfigImportSpec, None, None, {"file": str(file), **fields}).spec
    return slots.load("mozhu.rooms", "import_config")(with_absolute_paths(spec))


def preview(**fields: Any) -> Any:
    """Rows as a model sees them, token by token; fields are those of :class:`~mozhu.specs.data.PreviewSpec`."""
    spec = _resolved(PreviewSpec, None, None, fields).spec
    return slots.load("mozhu.rooms", "preview")(with_references(spec, workspace_or_here()))


def parity(**fields: Any) -> Any:
    """Whether training, asking and every copy give the same tokens: a report whose ``errors`` are the
    differences; fields are those of :class:`~mozhu.specs.data.ParitySpec`.
    """
    spec = _resolved(ParitySpec, None, None, fields).spec
    return slots.load("mozhu.rooms", "parity")(with_references(spec, workspace_or_here()))


def evaluate(
    *, preset: str | None = None, config: str | None = None, quiet: bool = False, **fields: Any
) -> Run:
    """Score a model beside its base; fields are those of :class:`~mozhu.specs.evaluate.EvaluateSpec`."""
    return _engine_verb(EvaluateSpec, preset, config, fields, quiet)


def download(model: str, *, config: str | None = None, quiet: bool = False, **fields: Any) -> Run:
    """A model from a hub, in ``output_dir`` or in the hub's cache; fields are those of DownloadSpec."""
    return _engine_verb(DownloadSpec, None, config, {"model": model, **fields}, quiet)


def merge(*, config: str | None = None, quiet: bool = False, **fields: Any) -> Run:
    """An adapter into its base, with a certificate; fields are those of :class:`~mozhu.specs.export.MergeSpec`."""
    return _engine_verb(MergeSpec, None, config, fields, quiet)


def adapters_list(folder: str | Path = ".") -> list[Any]:
    """Every adapter below ``folder``, with its settings and whether it can be merged."""
    spec = with_absolute_paths(AdapterListSpec(folder=str(folder)))
    return list(slots.load("mozhu.rooms", "adapters_list")(spec))


def adapters_show(adapter: str | Path) -> dict[str, Any]:
    """One adapter and each of its modules: rank, scaling, the length of its change, singular values."""
    spec = with_references(AdapterShowSpec(adapter=str(adapter)), workspace_or_here())
    found: dict[str, Any] = slots.load("mozhu.rooms", "adapters_show")(spec)
    return found


def adapters_compare(adapter: str | Path, other: str | Path) -> dict[str, Any]:
    """How alike the changes of two adapters are: cosines by module and in all, and settings that differ."""
    spec = with_references(CompareSpec(adapter=str(adapter), other=str(other)), workspace_or_here())
    found: dict[str, Any] = slots.load("mozhu.rooms", "adapters_compare")(spec)
    return found


def adapters_combine(*, quiet: bool = False, **fields: Any) -> Run:
    """One adapter of several; fields are those of :class:`~mozhu.specs.adapters.CombineSpec`."""
    return _engine_verb(CombineSpec, None, None, fields, quiet)


def adapters_scale(*, quiet: bool = False, **fields: Any) -> Run:
    """An adapter, stronger or weaker; fields are those of :class:`~mozhu.specs.adapters.ScaleSpec`."""
    return _engine_verb(ScaleSpec, None, None, fields, quiet)


def adapters_extract(*, quiet: bool = False, **fields: Any) -> Run:
    """The adapter nearest to a full fine-tuning; fields are those of :class:`~mozhu.specs.adapters.ExtractSpec`."""
    return _engine_verb(ExtractSpec, None, None, fields, quiet)


def convert(*, config: str | None = None, quiet: bool = False, **fields: Any) -> Run:
    """A model as GGUF, or as safetensors in other files or another type of numbers; fields are those of
    :class:`~mozhu.specs.export.ConvertSpec`.
    """
    return _engine_verb(ConvertSpec, None, config, fields, quiet)


def inspect(path: str | Path, *, quiet: bool = False, **fields: Any) -> Run:
    """What a file, archive or folder from a stranger is, and a safe form of it in the run folder.

    ``run.result.details`` says ``verdict`` and ``findings``; fields are those of
    :class:`~mozhu.specs.inspect.InspectSpec`.

    Raises:
        UnsafeUpload: SAFE-001 with every reason.
    """
    given = dict(fields)
    if (place := given.pop("output_dir", None)) is not None:
        given["run_folder"] = place
    run = _engine_verb(InspectSpec, None, None, {"path": path, **given}, quiet)
    details = run.result.details
    if details["verdict"] != "clean":
        faults = [f"- {finding['message']}" for finding in details["findings"] if finding["level"] == "error"]
        raise UnsafeUpload(path=str(path), count=len(faults), problems="\n".join(faults))
    return run


def certify(model: str | Path, **fields: Any) -> Any:
    """Measure an artefact against what it was made from: ``.certificate``, written to ``.place`` when it passes.

    Fields are those of :class:`~mozhu.specs.certificates.CertifySpec`.
    """
    spec = _resolved(CertifySpec, None, None, {"model": str(model), **fields}).spec
    return slots.load("mozhu.rooms", "certify")(
        with_absolute_paths(with_references(spec, workspace_or_here()))
    )


def verify(model: str | Path, **fields: Any) -> Any:
    """An artefact against its certificate: ``.holds`` and ``.differences``; with ``deep=True`` measured again.

    Fields are those of :class:`~mozhu.specs.certificates.VerifySpec`.
    """
    spec = _resolved(VerifySpec, None, None, {"model": str(model), **fields}).spec
    return slots.load("mozhu.rooms", "verify")(
        with_absolute_paths(with_references(spec, workspace_or_here()))
    )


def register(path: str | Path, **fields: Any) -> Any:
    """A model, adapter, GGUF file or run as a new version; fields are those of RegisterSpec."""
    spec = _resolved(RegisterSpec, None, None, {"path": str(path), **fields}).spec
    return catalog.registry_register(workspace_or_here().root, with_absolute_paths(spec))


def registry_list(search: str | None = None, **fields: Any) -> list[Any]:
    """Every registered model with its newest version; with ``limit`` no more. Fields are those of ListSpec."""
    given = {"all": "limit" not in fields, **fields, "search": search}
    spec = _resolved(ListSpec, None, None, given).spec
    return list(verbs.registry_page(workspace_or_here().root, spec).items)


def registry_show(name: str) -> Any:
    """One model, its versions and its history; ``name`` is a registry reference."""
    return catalog.registry_show(workspace_or_here().root, ShowSpec(name=name))


def registry_validate(model_path: str | Path) -> Any:
    """Whether a folder, a file or a registered version is whole; ``report.is_whole`` and every problem."""
    spec = with_absolute_paths(ValidateSpec(model_path=str(model_path)))
    return catalog.registry_validate(workspace_or_here().root, spec)


def registry_lineage(name: str) -> dict[str, Any]:
    """Where a version, row, data set or run came from and what came from it: ``start``, ``nodes``, ``edges``."""
    return verbs.registry_lineage(workspace_or_here().root, LineageSpec(name=name))


def registry_edit(name: str, **fields: Any) -> Any:
    """Change what is said of a model or a version, and show it; fields are those of EditSpec."""
    spec = _resolved(EditSpec, None, None, {"name": name, **fields}).spec
    verbs.registry_edit(workspace_or_here().root, spec)
    return registry_show(name)


def registry_share(name: str, whom: str | None = None, **fields: Any) -> list[dict[str, Any]]:
    """Who may do what with a model, after ``whom`` was given ``right`` or lost it by ``revoke=True``."""
    spec = _resolved(ShareSpec, None, None, {"name": name, "whom": whom, **fields}).spec
    return verbs.registry_share(workspace_or_here().root, spec)


def registry_copy(name: str, to: str, *, team: str | None = None) -> list[str]:
    """A model, or one version, under a new name as one's own: the references of the copies."""
    return verbs.registry_copy(workspace_or_here().root, CopySpec(name=name, to=to, team=team))


def registry_report(name: str, run: str | Path | None = None) -> list[dict[str, Any]]:
    """The reports of a version, newest first, after that of the run was attached where one is given."""
    spec = with_absolute_paths(ReportSpec(name=name, run=None if run is None else str(run)))
    return verbs.registry_report(workspace_or_here().root, spec)


def registry_rate(name: str, stars: int | None = None, comment: str = "") -> dict[str, Any]:
    """``mean`` and ``count`` of the stars of a model, after one's own."""
    spec = _resolved(RateSpec, None, None, {"name": name, "stars": stars, "comment": comment}).spec
    return verbs.registry_rate(workspace_or_here().root, spec)


def registry_suggest(name: str) -> dict[str, Any]:
    """``version``: the name of the next version; ``advice``: what the naming rules say of this one."""
    return verbs.registry_suggest(workspace_or_here().root, SuggestSpec(name=name))


def registry_delete(name: str, *, force: str = "", dry_run: bool = False) -> list[str]:
    """The versions that are in the trash now; with ``dry_run`` those that would be."""
    return verbs.registry_delete(
        workspace_or_here().root, DeleteSpec(name=name, force=force), keep=not dry_run
    )


def registry_restore(name: str) -> Any:
    """A version or a model is out of the trash; shows it."""
    verbs.registry_restore(workspace_or_here().root, RestoreSpec(name=name))
    return registry_show(name)


def registry_alias(name: str, alias: str | None = None, **fields: Any) -> list[dict[str, Any]]:
    """The aliases of a model, after ``alias`` was set to the version ``name`` or removed; fields of AliasSpec."""
    spec = _resolved(AliasSpec, None, None, {"name": name, "alias": alias, **fields}).spec
    return verbs.registry_alias(workspace_or_here().root, spec)


def registry_rescan(*, dry_run: bool = False) -> Any:
    """Rows anew from the sidecars on disk; with ``dry_run`` only what would change."""
    return catalog.registry_rescan(workspace_or_here().root, RescanSpec(), keep=not dry_run)


def datasets_register(path: str | Path, **fields: Any) -> Any:
    """A prepared snapshot as a new version; fields are those of DatasetRegisterSpec."""
    spec = _resolved(DatasetRegisterSpec, None, None, {"path": str(path), **fields}).spec
    return data_catalog.datasets_register(workspace_or_here().root, with_absolute_paths(spec))


def datasets_list(search: str | None = None, **fields: Any) -> list[Any]:
    """Every data set with its newest version; with ``limit`` no more. Fields are those of DatasetListSpec."""
    given = {"all": "limit" not in fields, **fields, "search": search}
    spec = _resolved(DatasetListSpec, None, None, given).spec
    return list(data_verbs.datasets_page(workspace_or_here().root, spec).items)


def datasets_edit(name: str, **fields: Any) -> Any:
    """The data set after the change; fields are those of DatasetEditSpec."""
    spec = _resolved(DatasetEditSpec, None, None, {**fields, "name": name}).spec
    data_verbs.datasets_edit(workspace_or_here().root, spec)
    return datasets_show(name)


def datasets_share(name: str, whom: str | None = None, **fields: Any) -> list[dict[str, Any]]:
    """Who may do what with a data set, after the change that was asked for."""
    spec = _resolved(DatasetShareSpec, None, None, {**fields, "name": name, "whom": whom}).spec
    return data_verbs.datasets_share(workspace_or_here().root, spec)


def datasets_alias(name: str, alias: str | None = None, **fields: Any) -> list[dict[str, Any]]:
    """The aliases of a data set, after the change that was asked for."""
    spec = _resolved(DatasetAliasSpec, None, None, {**fields, "name": name, "alias": alias}).spec
    return data_verbs.datasets_alias(workspace_or_here().root, spec)


def datasets_copy(name: str, to: str, *, team: str | None = None) -> list[str]:
    """A data set, or one version, under a new name as one's own: the references of the copies."""
    return data_verbs.datasets_copy(workspace_or_here().root, DatasetCopySpec(name=name, to=to, team=team))


def datasets_delete(name: str, *, force: str = "", dry_run: bool = False) -> list[str]:
    """The references that are in the trash now, or would be."""
    spec = DatasetDeleteSpec(name=name, force=force)
    return data_verbs.datasets_delete(workspace_or_here().root, spec, keep=not dry_run)


def datasets_restore(name: str) -> Any:
    """The data set that is out of the trash."""
    data_verbs.datasets_restore(workspace_or_here().root, DatasetRestoreSpec(name=name))
    return datasets_show(name)


def datasets_show(name: str, *, row: str | int | None = None) -> Any:
    """One data set, its versions, recipe and history; with ``row`` that row and where it came from."""
    root = workspace_or_here().root
    if row is not None:
        return data_catalog.datasets_row(root, name, str(row))
    return data_catalog.datasets_show(root, DatasetShowSpec(name=name))


def datasets_validate(path: str | Path) -> Any:
    """Whether every byte of a snapshot or a registered version is as it was; ``report.problems`` is all that is not."""
    spec = with_absolute_paths(DatasetValidateSpec(path=str(path)))
    return data_catalog.datasets_validate(workspace_or_here().root, spec)


def engines_install(name: str, **fields: Any) -> Environment:
    """The environment of an engine that needs one of its own (``swift``), made now or found whole."""
    return install_engine(with_absolute_paths(InstallSpec(name=name, **fields)))


def engines_list() -> dict[str, Environment | None]:
    """Every engine with an environment of its own; ``None`` where it is not installed."""
    return {name: find_environment(name) for name in RECIPES}


def engines_remove(name: str) -> Environment | None:
    """Remove the environment of an engine; what it was, or ``None`` when there was none."""
    return remove_engine(name)


def init(root: str | Path = ".") -> LaidOut:
    """Make ``root`` a workspace; what is there already is never changed."""
    return lay_out(Path(root).expanduser().absolute())


def runs() -> list[RunFolder]:
    """The run folders of this workspace, newest first."""
    return run_folders()


def stop(folder: str | Path) -> bool:
    """Ask a running run to save and stop; false when it does not run."""
    return stop_run(Path(folder))


def run(folder: str | Path, *, quiet: bool = False) -> Run:
    """Carry out, or go on with, the run that lies in ``folder``."""
    return _follow(RunFolder.open(folder), quiet)


def sample(output_dir: str | Path = "data/sample", **fields: Any) -> Path:
    """Write the ten built-in rows, or what the fields of :class:`~mozhu.specs.data.SampleSpec` ask for.

    Raises:
        TargetExists: FILE-007, other content is there; it is left as it is.
    """
    spec = _resolved(SampleSpec, None, None, {"output_dir": str(output_dir), **fields}).spec
    path: Path = slots.load("mozhu.rooms", "write_sample")(**spec.model_dump())
    return path


def chat(checkpoint: str | Path = "starter", **fields: Any) -> Conversation:
    """Open a model for questions, in this process. Fields are those of :class:`~mozhu.specs.serve.InferSpec`."""
    spec = _resolved(InferSpec, None, None, {"checkpoint": str(checkpoint), **fields}).spec
    asked = with_absolute_paths(with_references(spec, workspace_or_here()))
    return Conversation(slots.load("mozhu.rooms", "chat")(asked))


def load(model: str | Path, **fields: Any) -> Any:
    """A model in this process with its adapter, its tokenizer and ``generate_text``; adapters can be added and named.

    Fields are those of :class:`~mozhu.specs.serve.LoadSpec`.
    """
    spec = _resolved(LoadSpec, None, None, {"model": str(model), **fields}).spec
    return slots.load("mozhu.rooms", "load")(with_absolute_paths(with_references(spec, workspace_or_here())))


class Conversation:
    """A model that answers and remembers; use it in a ``with``, or ``close`` it."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.messages: list[dict[str, str]] = []

    def ask(self, question: str) -> str:
        """The answer to ``question`` in the light of what was said before."""
        self.messages.append({"role": "user", "content": question})
        answer: str = self._model.answer(self.messages).text
        self.messages.append({"role": "assistant", "content": answer})
        return answer

    def forget(self) -> None:
        self.messages.clear()

    def close(self) -> None:
        self._model.close()

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _resolved(spec: type[S], preset: str | None, config: str | None, fields: dict[str, Any]) -> Resolved[S]:
    given = {name: str(value) if isinstance(value, Path) else value for name, value in fields.items()}
    layers = Layers(given, preset, Path(config) if config else None, find_workspace())
    return resolve(spec, layers)


def _engine_verb(
    kind: type[Spec], preset: str | None, config: str | None, fields: dict[str, Any], quiet: bool
) -> Run:
    """Run a verb in ``run_folder`` (a field of every such function), or in a new folder under ``6_output/``."""
    given = dict(fields)
    named = given.pop("run_folder", None)
    resolved = _resolved(kind, preset, config, given)
    workspace = workspace_or_here()
    spec = with_absolute_paths(with_references(resolved.spec, workspace))
    folder = Path(named).absolute() if named else fresh_run_folder(spec, workspace)
    return _run(spec, resolved.origins, folder, quiet)


def _run(
    spec: Spec, origins: dict[str, str], folder: Path, quiet: bool, warm: WarmProcess | None = None
) -> Run:
    return _follow(make_run(spec, origins, folder), quiet, warm)


def _follow(run: RunFolder, quiet: bool, warm: WarmProcess | None = None) -> Run:
    done = run.result()
    if done and done.state == "succeeded":
        return Run(run.path, done)
    view = open_view(quiet=quiet)
    try:
        result = run_to_end(run, view.show, warm)
    finally:
        view.close()
    if result.state == "cancelled":
        raise RunCancelled(path=str(run.path))
    raise_failure(result)
    return Run(run.path, result)
