"""The certificate of a GGUF file: llama.cpp reads it as transformers reads the model it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mozhu.engine.inference.llama_cpp import LlamaCpp
from mozhu.engine.scoring.agreement import Agreement, compare_logits
from mozhu.engine.scoring.certificates import Rows, certificate, measuring_dtype
from mozhu.engine.scoring.identity import Measured, measured_rows, open_renderer
from mozhu.engine.scoring.limits import GGUF_KL, GGUF_KL_OTHER, GGUF_TOP1, MOST_TOKENS
from mozhu.engine.scoring.threads import spare_threads
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.load import load_model
from mozhu.engine.weights.references import FoundModel
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.token_files import read_template
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.files import sha256_file
from mozhu.specs.records.certificate import Certificate, Check

_GREEDY_TOKENS = 16
_GREEDY_PROMPTS = 4


@spare_threads()
def certify_gguf(
    source: str | Path, gguf: str | Path, quantization: str, rows: Rows | None = None
) -> Certificate:
    """The certificate (kind ``gguf``) of the file ``gguf`` made from the model folder ``source``.

    Checks: equal token ids for every rendered conversation, equal vocabulary size, end token and chat
    template; mean KL below the limit of ``quantization`` (``limits.py``); for 32- and 16-bit types also equal
    most likely tokens, and for F32 equal greedy answers.

    Args:
        quantization: The file's type, as ``F16`` or ``Q4_K_M``.
        rows: Prepared rows to measure on, besides the fixed conversations.
    """
    folder = Path(source)
    tokenizer, renderer = load_tokenizer(folder), open_renderer(folder)
    measured = measured_rows(renderer, tokenizer, rows or (), most_tokens=MOST_TOKENS)
    longest = max((len(ids) for ids in measured.ids), default=1)
    dtype = measuring_dtype(folder)
    model = load_model(FoundModel(folder.name, folder, None, folder), dtype=dtype, device="cpu")
    with LlamaCpp(gguf, context=longest + _GREEDY_TOKENS) as llama:
        checks = [*_token_checks(llama, measured), *_word_checks(llama, folder, tokenizer, renderer)]
        if checks[0].ok:  # other ids would compare answers to different questions
            checks += _number_checks(model, llama, measured, quantization.upper())
    prints = {**fingerprint(folder), "file": sha256_file(gguf)}
    made_from = [{"role": "source", "fingerprint": prints.pop("whole")}]
    return certificate("gguf", checks, made_from, prints, dtype=dtype, measured=measured)


def _token_checks(llama: LlamaCpp, measured: Measured) -> list[Check]:
    """Ids are cut at the measured length, so the beginning of what llama.cpp makes is compared."""
    equal = sum(
        llama.tokenize(text)[: len(ids)] == ids
        for text, ids in zip(measured.texts, measured.ids, strict=True)
    )
    share = equal / max(len(measured.ids), 1)
    return [
        Check(
            name="token_parity", value=share, limit=1.0, ok=bool(measured.ids) and equal == len(measured.ids)
        )
    ]


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


def _number_checks(model: Any, llama: LlamaCpp, measured: Measured, quantization: str) -> list[Check]:
    same = compare_logits(model, llama, measured.ids)
    limit = GGUF_KL.get(quantization, GGUF_KL_OTHER)
    checks = [Check(name="kl_mean", value=same.kl_mean, limit=limit, ok=same.kl_mean <= limit)]
    checks += _top1_checks(same, quantization)
    if quantization == "F32":
        checks.append(_greedy_check(model, llama, measured.ids[:_GREEDY_PROMPTS]))
    return checks


def _top1_checks(same: Agreement, quantization: str) -> list[Check]:
    limit = GGUF_TOP1.get(quantization)
    if limit is None:
        return []
    return [Check(name="top1_agreement", value=same.top1, limit=limit, ok=same.top1 >= limit)]


def _greedy_check(model: Any, llama: LlamaCpp, rows: Sequence[Sequence[int]]) -> Check:
    equal = sum(_greedy(model, ids) == llama.greedy(ids, _GREEDY_TOKENS) for ids in rows)
    return Check(name="greedy_equal", value=equal / max(len(rows), 1), limit=1.0, ok=equal == len(rows))


@torch.inference_mode()
def _greedy(model: Any, ids: Sequence[int]) -> list[int]:
    """The most likely continuation without a cache: the plainest reference there is."""
    made = list(ids)
    for _ in range(_GREEDY_TOKENS):
        made.append(int(model(input_ids=torch.tensor([made])).logits[0, -1].argmax()))
    return made[len(ids) :]
