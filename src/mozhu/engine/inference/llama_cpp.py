"""llama.cpp in this process: tokens and logits of a GGUF file, for comparison with the model it was made
from.

The functions are those of the prebuilt ``xllamacpp`` library, called by ctypes. Its parameter structures
change with each version, so they are taken from the library itself as opaque blocks; only the first four
numbers of the context's block (context, batch, micro-batch, sequences), stable since 2024 and checked
against their defaults, are set.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xllamacpp

from mozhu.kernel.errors import LlamaCppRefused, MissingFile
from mozhu.kernel.machine import free_core_count

_DEFAULTS = (512, 2048, 512, 1)  # n_ctx, n_batch, n_ubatch, n_seq_max
_HALF = 1  # GGML_TYPE_F16, the default type of the key and value cache
_UNSET = 0xFFFFFFFF  # -1 of an enumeration: automatic
_MINUS_ONE = 0xBF800000  # -1.0 of a float: automatic
_WORDS = 128
_SEARCHED = 42
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_ERROR_LEVELS = {3, 4}  # GGML_LOG_LEVEL_WARN, GGML_LOG_LEVEL_ERROR
_said: list[str] = []


class _Block(ctypes.Structure):
    """Larger than any parameter structure: both calling conventions in use pass such values through
    memory.
    """

    _fields_ = [("words", ctypes.c_uint32 * _WORDS)]


class _Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


def _listen(level: int, words: bytes | None, _: object) -> None:
    if level in _ERROR_LEVELS and words:
        _said.append(words.decode("utf-8", "replace").strip())
        del _said[:-20]


_listener = _LOG(_listen)  # kept: the library holds its address


@cache
def library() -> ctypes.CDLL:
    """The shared library of the ``xllamacpp`` package with the types of the functions used here."""
    path = next(Path(xllamacpp.__file__).parent.glob("xllamacpp*.so"), None)
    if path is None:
        path = next(Path(xllamacpp.__file__).parent.glob("xllamacpp*.pyd"))
    lib = ctypes.CDLL(str(path))
    pointer, integer, text = ctypes.c_void_p, ctypes.c_int32, ctypes.c_char_p
    tokens = ctypes.POINTER(ctypes.c_int32)
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "llama_backend_init": (None, []),
        "llama_log_set": (None, [_LOG, pointer]),
        "llama_model_default_params": (_Block, []),
        "llama_context_default_params": (_Block, []),
        "llama_model_load_from_file": (pointer, [text, _Block]),
        "llama_init_from_model": (pointer, [pointer, _Block]),
        "llama_model_get_vocab": (pointer, [pointer]),
        "llama_vocab_n_tokens": (integer, [pointer]),
        "llama_vocab_eos": (integer, [pointer]),
        "llama_vocab_bos": (integer, [pointer]),
        "llama_vocab_is_eog": (ctypes.c_bool, [pointer, integer]),
        "llama_model_chat_template": (text, [pointer, text]),
        "llama_n_ctx": (ctypes.c_uint32, [pointer]),
        "llama_tokenize": (integer, [pointer, text, integer, tokens, integer, ctypes.c_bool, ctypes.c_bool]),
        "llama_token_to_piece": (integer, [pointer, integer, text, integer, integer, ctypes.c_bool]),
        "llama_batch_init": (_Batch, [integer, integer, integer]),
        "llama_batch_free": (None, [_Batch]),
        "llama_decode": (integer, [pointer, _Batch]),
        "llama_get_logits_ith": (ctypes.POINTER(ctypes.c_float), [pointer, integer]),
        "llama_get_memory": (pointer, [pointer]),
        "llama_memory_clear": (None, [pointer, ctypes.c_bool]),
        "llama_set_n_threads": (None, [pointer, integer, integer]),
        "llama_free": (None, [pointer]),
        "llama_model_free": (None, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    lib.llama_log_set(_listener, None)
    lib.llama_backend_init()
    return lib


def _make_exact(block: _Block) -> None:
    """A float32 cache and plain attention, so that a comparison measures the weights.

    With the defaults (float16 cache, flash attention) the logits of a float32 file are 3e-3 off, with these
    4e-6. The
    fields are known by their neighbours and their defaults; where those are not as expected, nothing is
    changed.
    """
    words = list(block.words)
    cache = [at for at in range(8, _SEARCHED) if words[at : at + 2] == [_HALF, _HALF]]
    if len(cache) == 1:  # type_k, type_v
        block.words[cache[0]] = block.words[cache[0] + 1] = 0
    for at in range(4, _SEARCHED):
        # rope_scaling_type, pooling_type, attention_type, flash_attn_type; rope_freq_base and _scale; yarn_*
        if words[at : at + 10] == [_UNSET] * 4 + [0, 0] + [_MINUS_ONE] * 4:
            block.words[at + 3] = 0
            return


class LlamaCpp:
    """A GGUF model on the CPU, one sequence at a time. Close it, or use it in a ``with``.

    Args:
        path: The GGUF file.
        context: Most tokens of one call.
        threads: By default the cores that are free now.

    Raises:
        MissingFile: FILE-001. LlamaCppRefused: EXPORT-014 with what llama.cpp said.
    """

    def __init__(self, path: str | Path, *, context: int = 512, threads: int | None = None) -> None:
        if not Path(path).is_file():
            raise MissingFile(path=str(path))
        self._lib = library()
        self.path = Path(path)
        self._context: int | None = None
        _said.clear()
        self._model: int | None = self._lib.llama_model_load_from_file(
            os.fsencode(path), self._lib.llama_model_default_params()
        )
        if not self._model:
            raise LlamaCppRefused(path=str(path), reason=" ".join(_said[-3:]) or "-")
        self._context = self._lib.llama_init_from_model(self._model, self._context_block(context))
        if not self._context:
            self.close()
            raise LlamaCppRefused(path=str(path), reason=" ".join(_said[-3:]) or "-")
        # llama.cpp's threads wait for each other: 2 on 2 busy cores are 5 times slower than 1.
        count = threads or free_core_count()
        self._lib.llama_set_n_threads(self._context, count, count)
        self._vocab = self._lib.llama_model_get_vocab(self._model)
        self.vocab_size: int = self._lib.llama_vocab_n_tokens(self._vocab)
        self.context: int = self._lib.llama_n_ctx(self._context)

    @property
    def eos_id(self) -> int:
        return int(self._lib.llama_vocab_eos(self._vocab))

    @property
    def bos_id(self) -> int:
        """Negative where the vocabulary has none."""
        return int(self._lib.llama_vocab_bos(self._vocab))

    @property
    def chat_template(self) -> str | None:
        found = self._lib.llama_model_chat_template(self._model, None)
        return found.decode("utf-8") if found else None

    def is_end(self, token: int) -> bool:
        """Whether llama.cpp itself would stop at ``token``."""
        return bool(self._lib.llama_vocab_is_eog(self._vocab, token))

    def tokenize(self, text: str, *, special: bool = True, add_special: bool = False) -> list[int]:
        """Ids of ``text``; ``special`` reads special tokens written in it, ``add_special`` puts bos (eos)
        round it.
        """
        content = text.encode("utf-8")
        room = len(content) + 8
        ids = (ctypes.c_int32 * room)()
        count = self._lib.llama_tokenize(self._vocab, content, len(content), ids, room, add_special, special)
        if count < 0:
            raise LlamaCppRefused(path=str(self.path), reason=f"tokenize {count}")
        return list(ids[:count])

    def text(self, ids: Sequence[int], *, special: bool = False) -> str:
        """The text of ``ids``; ``special`` also writes special tokens out."""
        pieces = b"".join(self._piece(token, special) for token in ids)
        return pieces.decode("utf-8", "replace")

    def logits(self, ids: Sequence[int]) -> np.ndarray[Any, Any]:
        """Logits after each of ``ids``, float32 of shape (len(ids), vocab_size), from an empty cache.

        Raises:
            LlamaCppRefused: EXPORT-014, also where ``ids`` are more than the context.
        """
        self._check_room(len(ids))
        self._clear()
        rows = np.empty((len(ids), self.vocab_size), dtype=np.float32)
        self._decode(list(ids), 0)
        for place in range(len(ids)):
            rows[place] = self._row(place)
        return rows

    def greedy(self, ids: Sequence[int], max_new_tokens: int, stop_ids: Sequence[int] = ()) -> list[int]:
        """The most likely continuation, up to and with the first of ``stop_ids``."""
        self._check_room(len(ids) + max_new_tokens)
        self._clear()
        self._decode(list(ids), 0)
        made: list[int] = [int(self._row(len(ids) - 1).argmax())]
        while len(made) < max_new_tokens and made[-1] not in stop_ids:
            self._decode([made[-1]], len(ids) + len(made) - 1)
            made.append(int(self._row(0).argmax()))
        return made

    def close(self) -> None:
        if self._context:
            self._lib.llama_free(self._context)
            self._context = None
        if self._model:
            self._lib.llama_model_free(self._model)
            self._model = None

    def __enter__(self) -> LlamaCpp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _context_block(self, context: int) -> _Block:
        block: _Block = self._lib.llama_context_default_params()
        if tuple(block.words[:4]) != _DEFAULTS:
            raise LlamaCppRefused(path=str(self.path), reason=f"unknown parameters {list(block.words[:8])}")
        block.words[0] = block.words[1] = block.words[2] = context
        _make_exact(block)
        return block

    def _check_room(self, tokens: int) -> None:
        if tokens > self.context:
            raise LlamaCppRefused(path=str(self.path), reason=f"{tokens} tokens > {self.context}")

    def _clear(self) -> None:
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)

    def _decode(self, ids: list[int], start: int) -> None:
        batch = self._lib.llama_batch_init(len(ids), 0, 1)
        try:
            batch.n_tokens = len(ids)
            for place, token in enumerate(ids):
                batch.token[place] = token
                batch.pos[place] = start + place
                batch.n_seq_id[place] = 1
                batch.seq_id[place][0] = 0
                batch.logits[place] = 1
            code = self._lib.llama_decode(self._context, batch)
        finally:
            self._lib.llama_batch_free(batch)
        if code:
            raise LlamaCppRefused(path=str(self.path), reason=f"decode {code} {' '.join(_said[-2:])}")

    def _piece(self, token: int, special: bool) -> bytes:
        """The bytes of one token; a Chinese character may be spread over several."""
        room = 64
        buffer = ctypes.create_string_buffer(room)
        size = self._lib.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
        if size < 0:  # a longer token: the library says how long
            buffer = ctypes.create_string_buffer(-size)
            size = self._lib.llama_token_to_piece(self._vocab, token, buffer, -size, 0, special)
        return buffer.raw[: max(0, size)]

    def _row(self, place: int) -> np.ndarray[Any, Any]:
        return np.ctypeslib.as_array(self._lib.llama_get_logits_ith(self._context, place), (self.vocab_size,))
