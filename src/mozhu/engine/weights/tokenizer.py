"""Loads a folder's tokenizer, from this disk only and without running code from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mozhu.engine.weights.token_files import TOKENIZER_FILES
from mozhu.kernel.errors import MissingFile, UnreadableTokenizer

_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
# Texts on which tokenizers of different kinds differ: blanks, line breaks, digits, scripts, composed letters.
_PROBES = (
    "Hello  world,\tthis isn't 12345.67!\n\n  def f(x):\r\n    return x\n",
    "你好，世界！今天是2024年1月1日。　模型训练",
    " é e\u0301 ñ Ω ё 한국어 日本語テキスト عربى 👩‍🔬🇨🇳 ﬁ ½ <tag/> \u200b…",
)


def load_tokenizer(path: str | Path) -> Any:
    """The tokenizer of a model folder; where there is a ``tokenizer.json`` its ids are the ones of that file.

    ``AutoTokenizer`` of transformers 5 rebuilds some families' rules from their class (any ``qwen2`` gets
    Qwen2's splitting, also one that was trained with other rules). Where that changes ids, the file counts.

    Raises:
        MissingFile: FILE-001. UnreadableTokenizer: MODEL-012, also where there are no tokenizer files.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise MissingFile(path=str(path))
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise UnreadableTokenizer(path=str(folder), reason=f"no {TOKENIZER_FILES[0]}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **_LOCAL)
        if not _follows_file(tokenizer, folder / "tokenizer.json"):
            tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder), **_LOCAL)
    except Exception as error:  # tokenizers raises bare Exception on a damaged file
        raise UnreadableTokenizer(path=str(folder), reason=_first_line(error)) from error
    return tokenizer


def _follows_file(tokenizer: Any, file: Path) -> bool:
    """Whether the probes get the ids that ``tokenizer.json`` itself gives them."""
    if not file.is_file():
        return True
    told = Tokenizer.from_file(str(file))
    told.no_padding()
    told.no_truncation()
    wanted = [encoding.ids for encoding in told.encode_batch(list(_PROBES), add_special_tokens=False)]
    return [list(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in _PROBES] == wanted


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
