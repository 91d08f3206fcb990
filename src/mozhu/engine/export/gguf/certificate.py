"""The certificate of a GGUF file: llama.cpp reads it as transformers reads the model it was made from."""

from __future__ import annotations

import gc
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mozhu.engine.export.gguf.mix import TARGETS
from mozhu.engine.export.gguf.readback import open_gguf
from mozhu.engine.export.gguf.rounding import Rounding, compare_tensors
from mozhu.engine.export.gguf.write import plan_gguf
from mozhu.engine.inference.llama_cpp import LlamaCpp
from mozhu.engine.scoring.agreement import Agreement, agreement_with, mean_loss, record_logits
from mozhu.engine.scoring.certificates import Rows, extent, known_rows, measured, measuring_dtype
from mozhu.engine.scoring.identity import Measured, open_renderer
from mozhu.engine.scoring.sealing import sealed, source_entry
from mozhu.engine.scoring.threads import spare_threads
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import load_model
from mozhu.engine.weights.references import FoundModel
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.token_files import read_template
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import UnsupportedFamily, UnsupportedModelSetting, UnsupportedTokenizer
from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.limits import GGUF_TOP1
from mozhu.specs.records.manifest import ManifestFile

_GREEDY_TOKENS = 16
_GREEDY_PROMPTS = 4
_SHORT, _SHOWN = 16, 8
_MODELFILE = "Modelfile"
_KIND = "gguf"


@spare_threads()
def certify_gguf(
    source: str | Path, gguf: str | Path, quantization: str, rows: Rows | None = None
) -> Certificate:
    """The certificate (kind ``gguf``) of the file ``gguf`` made from the model folder ``source``.

    Checks: equal token ids for every rendered conversation, equal vocabulary size, end token and chat template; no
    tensor is further from the source than rounding explains; mean KL and the change of perplexity below the limits of
    ``quantization`` (``limits.py``), which follow what quantising the source to the same types does to it; for 32- and
    16-bit types also equal most likely tokens, and for F32 equal greedy answers.

    Args:
        quantization: The file's type, as ``F16`` or ``Q4_K_M``.
        rows: Prepared rows to measure on, besides the fixed conversations; by default the first of its training.
    """
    folder, path, kind = Path(source), Path(gguf), quantization.upper()
    real = known_rows(rows, folder)
    tokenizer, renderer = load_tokenizer(folder), open_renderer(folder)
    taken = measured(folder, real.rows)
    longest = max((len(ids) for ids in taken.ids), default=1)
    dtype = measuring_dtype(folder)
    model = load_model(FoundModel(folder.name, folder, None, folder), dtype=dtype, device="cpu")
    logits = record_logits(model, taken.ids)
    greedy = [_greedy(model, ids) for ids in taken.ids[:_GREEDY_PROMPTS]] if kind == "F32" else []
    rounding = _rounding(path, folder, kind, model)
    noise = agreement_with(logits, model, taken.ids) if rounding and rounding.complete else None
    del model
    gc.collect()
    same = None
    with LlamaCpp(path, context=longest + _GREEDY_TOKENS) as llama:
        checks = [*_token_checks(llama, taken), *_word_checks(llama, folder, tokenizer, renderer)]
        if rounding is not None:
            checks.append(_rounded_check(rounding))
        if checks[0].ok:  # other ids would compare answers to different questions
            same, numbers = _number_checks(llama, logits, taken, kind, noise)
            checks += numbers
            checks += [_greedy_check(llama, greedy, taken.ids)] if greedy else []
    prints = fingerprint(folder)
    files = _files(path)
    tensors, mix = _tensors(path)
    return sealed(
        _KIND,
        checks,
        artefact=path,
        made_from=[source_entry("source", folder, path, fingerprint=prints.pop("whole"))],
        prints={**prints, "file": files[0].sha256},
        measured={"type": kind, **extent(dtype, taken, real, agreement=same, reference=noise)},
        tools=("gguf", "xllamacpp"),
        files=files,
        tensors=tensors,
        mix=mix,
    )


def file_quantization(path: Path) -> str:
    """The type that the file says it is of, as ``Q4_K_M``; ``OTHER`` for one that ``mozhu convert`` does not write."""
    field = open_gguf(path).get_field("general.file_type")
    told = int(field.contents()) if field is not None else -1
    return next((name for name, (_, number) in TARGETS.items() if int(number) == told), "OTHER")


def _files(path: Path) -> list[ManifestFile]:
    beside = path.parent / _MODELFILE
    return [ManifestFile.of(path.parent, item) for item in (path, beside) if item.is_file()]


def _tensors(path: Path) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """The list of tensors and the mix of types, as in ``sealing.py``."""
    listed: dict[str, str] = {}
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for tensor in open_gguf(path).tensors:
        kind = tensor.tensor_type.name
        own = hashlib.sha256(np.ascontiguousarray(tensor.data).data).hexdigest()
        shape = "x".join(str(int(length)) for length in reversed(tensor.shape))
        listed[str(tensor.name)] = f"{kind} {shape} {own[:_SHORT]}"
        counts[kind] += 1
        sizes[kind] += int(tensor.n_bytes)
    return listed, {kind: {"tensors": counts[kind], "bytes": size} for kind, size in sizes.most_common()}


def gguf_tensors(path: Path) -> dict[str, str]:
    """``Q4_K 896x896 0123456789abcdef`` by name: what a certificate lists, of the file as it is now."""
    return _tensors(path)[0]


def _rounding(path: Path, folder: Path, kind: str, model: Any) -> Rounding | None:
    """``None`` for an architecture whose tensors are not known here."""
    try:
        plan = plan_gguf(ModelFolder.open(folder), "F32" if kind not in TARGETS else kind, folder.name)
    except (UnsupportedFamily, UnsupportedModelSetting, UnsupportedTokenizer):
        return None
    return compare_tensors(path, plan, model)


def _rounded_check(rounding: Rounding) -> Check:
    worse = rounding.worse
    return Check.of(
        "tensors_rounded",
        len(worse),
        _KIND,
        differing=worse[:_SHOWN] or None,
        exact=rounding.exact,
        of=rounding.of,
    )


def _token_checks(llama: LlamaCpp, measured: Measured) -> list[Check]:
    """Ids are cut at the measured length, so the beginning of what llama.cpp makes is compared."""
    equal = sum(
        llama.tokenize(text)[: len(ids)] == ids
        for text, ids in zip(measured.texts, measured.ids, strict=True)
    )
    share = equal / max(len(measured.ids), 1)
    return [Check.of("token_parity", share if measured.ids else 0.0, _KIND)]


def _word_checks(llama: LlamaCpp, folder: Path, tokenizer: Any, renderer: Renderer | None) -> list[Check]:
    own, template = tokenizer.eos_token_id, read_template(folder)
    stops = renderer.stop_ids if renderer else [] if own is None else [int(own)]
    ending = [token for token in stops if llama.is_end(token)]
    return [
        Check(name="eos_id_equal", value=llama.eos_id, limit=own, ok=own is None or llama.eos_id == own),
        Check(name="stop_ids_end", value=str(ending), limit=str(stops), ok=ending == stops),
        Check(
            name="chat_template_equal",
            value=llama.chat_template == template,
            limit=True,
            ok=llama.chat_template == template,
        ),
    ]


def _number_checks(
    llama: LlamaCpp, logits: list[torch.Tensor], taken: Measured, kind: str, noise: Agreement | None
) -> tuple[Agreement, list[Check]]:
    """By the noise of quantising the same weights to the same types, where that could be measured."""
    answers = [torch.as_tensor(llama.logits(list(ids))) for ids in taken.ids]
    same = agreement_with(logits, _Recorded(answers), taken.ids)
    change = abs(mean_loss(answers, taken.ids) - mean_loss(logits, taken.ids))
    reference = noise.kl_mean if noise else None
    checks = [
        Check.of("kl_mean", same.kl_mean, _KIND, type=kind, reference=reference),
        Check.of(
            "perplexity_difference", change, _KIND, type=kind, reference=reference, positions=same.positions
        ),
    ]
    if kind in GGUF_TOP1:
        checks.append(
            Check.of("top1_agreement", same.top1, _KIND, type=kind, reference=noise.top1 if noise else None)
        )
    return same, checks


class _Recorded:
    """Recorded logits as a model that is asked for each row in turn."""

    def __init__(self, rows: list[torch.Tensor]) -> None:
        self._rows = iter(rows)

    def logits(self, ids: Sequence[int]) -> torch.Tensor:
        return next(self._rows)


def _greedy_check(llama: LlamaCpp, made: list[list[int]], rows: Sequence[Sequence[int]]) -> Check:
    equal = sum(llama.greedy(ids, _GREEDY_TOKENS) == wanted for wanted, ids in zip(made, rows, strict=False))
    return Check.of("greedy_equal", equal / max(len(made), 1), _KIND)


@torch.inference_mode()
def _greedy(model: Any, ids: Sequence[int]) -> list[int]:
    """The most likely continuation without a cache: the plainest reference there is."""
    made = list(ids)
    for _ in range(_GREEDY_TOKENS):
        made.append(int(model(input_ids=torch.tensor([made])).logits[0, -1].argmax()))
    return made[len(ids) :]
