"""``data parity``: the rows of a data set through a model and everything that was made from it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.parity import check_parity
from mozhu.engine.data.parity_report import ParityReport
from mozhu.engine.data.stops import read_stops
from mozhu.engine.inference.gguf_chat import is_gguf
from mozhu.engine.scoring.parity_gguf import GgufSide
from mozhu.engine.weights.folder import is_adapter_folder
from mozhu.engine.weights.references import find_model
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.token_files import TOKENIZER_FILES, read_template
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import MissingFile
from mozhu.specs.data import ParitySpec


@dataclass(frozen=True)
class ModelVoice:
    """A model folder with what turns text into its tokens; ``renderer`` is None without a chat template."""

    folder: Path
    renderer: Renderer | None
    tokenizer: Any
    copies: tuple[Path, ...] = ()


def open_voice(model: str) -> ModelVoice:
    """The base that ``model`` means; an adapter with a tokenizer of its own is a copy of it.

    Raises:
        What find_model raises. UnreadableTokenizer: MODEL-012.
    """
    found = find_model(model)
    base = found.base
    renderer = Renderer.from_folder(base) if read_template(base) is not None else None
    tokenizer = renderer.tokenizer if renderer else load_tokenizer(base)
    adapter = found.adapter
    copies = (adapter,) if adapter is not None and has_tokenizer(adapter) else ()
    return ModelVoice(base, renderer, tokenizer, copies)


def run_parity(spec: ParitySpec) -> ParityReport:
    """Every difference between the renders of ``spec.rows`` rows; nothing is written.

    Raises:
        What find_model and load_rows raise. LlamaCppRefused: EXPORT-014.
    """
    loaded = load_rows(spec.dataset, text_column=spec.text_column, system=spec.system)
    return compare(loaded.rows[: spec.rows], spec.model, against=spec.against, train_on=spec.train_on)


def compare(
    rows: Sequence[dict[str, Any]],
    model: str,
    *,
    against: Sequence[str] = (),
    train_on: Literal["all", "last"] = "all",
) -> ParityReport:
    """The rows through ``model`` and through everything in ``against``: folders and GGUF files made from it."""
    voice = open_voice(model)
    with ExitStack() as stack:
        copies, files = [*voice.copies], []
        for ref in against:
            if is_gguf(ref):
                files.append(stack.enter_context(GgufSide(Path(ref))))
            else:
                copies.append(_copy(ref))
        report = check_parity(
            rows,
            voice.folder,
            voice.renderer,
            voice.tokenizer,
            train_on=train_on,
            copies=copies,
            sides=files,
        )
        stops = read_stops(voice.folder, voice.tokenizer, voice.renderer)
        for file in files:
            report.findings += file.stop_findings(stops)
            report.stops[str(file.path)] = file.shown_stops()
    return report


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def _copy(ref: str) -> Path:
    """The folder of a merged model or an adapter that ``ref`` means."""
    path = Path(ref).expanduser()
    if path.is_dir() and has_tokenizer(path):
        return path
    if not path.exists():
        raise MissingFile(path=ref)
    found = find_model(ref)
    return found.path if is_adapter_folder(found.path) and has_tokenizer(found.path) else found.base
