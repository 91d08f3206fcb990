"""The ids that llama.cpp gives a conversation, by the template and the vocabulary of a GGUF file."""

from __future__ import annotations

from pathlib import Path

from mozhu.engine.data.parity_report import ParityFinding
from mozhu.engine.data.parity_sides import Ids
from mozhu.engine.data.stops import StopPlaces
from mozhu.engine.inference.llama_cpp import LlamaCpp
from mozhu.engine.weights.jinja import ChatTemplate, Messages, Tools
from mozhu.kernel.errors import NoChatTemplate
from mozhu.kernel.texts import text


class GgufSide:
    """A GGUF file as llama.cpp's server reads it.

    The server renders the file's template, takes the begin and end tokens away that the template has written,
    and puts them there again where the vocabulary asks for them. Close it, or use it in a ``with``.

    Raises:
        NoChatTemplate: MODEL-003. LlamaCppRefused: EXPORT-014. MissingFile: FILE-001.
    """

    code = "DATA-254"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = text("data.side.gguf", path=str(path))
        self._llama = LlamaCpp(path, context=64)
        source = self._llama.chat_template
        if source is None:
            self._llama.close()
            raise NoChatTemplate(path=str(path))
        self._round = self._llama.tokenize("", add_special=True)
        special = {"eos_token": self.shown(self._llama.eos_id)}
        if self._llama.bos_id >= 0:
            special["bos_token"] = self.shown(self._llama.bos_id)
        self._special = special
        self._template = ChatTemplate(source, special, place=str(path))

    def prompt(self, messages: Messages, tools: Tools | None) -> Ids:
        return self._ids(self._template.render(messages, tools, add_generation_prompt=True))

    def whole(self, messages: Messages, tools: Tools | None) -> Ids:
        return self._ids(self._template.render(messages, tools))

    def shown(self, token: int) -> str:
        return self._llama.text([token], special=True)

    def stop_findings(self, source: StopPlaces) -> list[ParityFinding]:
        """The file ends an answer where the model's tokenizer and template do."""
        findings = []
        own = (self._llama.eos_id,)
        ending = [number for number in source.template if not self._llama.is_end(number)]
        if source.tokenizer and not set(own) & set(source.tokenizer):
            findings.append(self._other(own, source.tokenizer))
        elif ending:
            findings.append(self._other(own, tuple(ending)))
        return findings

    def shown_stops(self) -> dict[str, str]:
        eos = self._llama.eos_id
        return {"eos": f"{self.shown(eos)} ({eos})"}

    def close(self) -> None:
        self._llama.close()

    def __enter__(self) -> GgufSide:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ids(self, rendered: str) -> Ids:
        if self._round:
            rendered = (
                rendered.removeprefix(self._special.get("bos_token", "")) if self._adds_bos else rendered
            )
        return self._llama.tokenize(rendered, add_special=bool(self._round))

    @property
    def _adds_bos(self) -> bool:
        return self._llama.bos_id in self._round[:1]

    def _other(self, own: tuple[int, ...], wanted: tuple[int, ...]) -> ParityFinding:
        def words(ids: tuple[int, ...]) -> str:
            return ", ".join(f"{self.shown(number)} ({number})" for number in ids)

        params = {
            "path": str(self.path),
            "file": self.path.name,
            "token": words(own),
            "wanted": words(wanted),
        }
        return ParityFinding("error", "DATA-264", params)
