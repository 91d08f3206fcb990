"""Weights by themselves: a safetensors or GGUF file, or a folder of safetensors, without the settings of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mozhu.engine.inference.gguf_chat import is_gguf
from mozhu.engine.weights.content import TensorHash, file_content
from mozhu.engine.weights.folder import is_model_folder
from mozhu.engine.weights.headers import read_header
from mozhu.kernel.files import read_json, sha256_json
from mozhu.kernel.gguf import read_gguf_file
from mozhu.specs.records.manifest import Manifest, ManifestFile, manifest_problems

MANIFEST, CERTIFICATE = "manifest.json", "certificate.json"


@dataclass(frozen=True)
class BareWeights:
    """``path`` is the file, or the folder whose records speak of all its ``files``."""

    path: Path
    files: tuple[Path, ...]

    @property
    def home(self) -> Path:
        return self.path if self.path.is_dir() else self.path.parent

    def tensors(self, *, fresh: bool = False) -> list[TensorHash]:
        """Of safetensors: name, type, shape and hash of each tensor, sorted."""
        files = [path for path in self.files if path.suffix == ".safetensors"]
        return sorted(item for path in files for item in file_content(path, fresh=fresh).tensors)

    @property
    def tensor_count(self) -> int:
        if self.path.is_file() and is_gguf(str(self.path)):
            return len(read_gguf_file(self.path).tensors)
        return sum(len(read_header(path)) for path in self.files)

    def fingerprint(self) -> dict[str, str]:
        return {"weights": sha256_json(self.tensors())}

    def manifest_objections(self) -> list[tuple[str, str]] | None:
        """Files that are not those of the manifest, each with how; ``None`` where none speaks of these files."""
        place = self.home / MANIFEST
        if not place.is_file():
            return None
        told = Manifest.read(place)
        names = {path.relative_to(self.home).as_posix() for path in self.files}
        mine: list[ManifestFile] = [file for file in told.files if self.path.is_dir() or file.path in names]
        if not mine:
            return None
        belonging = self.files if self.path.is_file() else None
        found = manifest_problems(self.home, Manifest.of(mine), belonging=belonging)
        return [(problem.path, problem.code) for problem in found]


def bare_weights(ref: str) -> BareWeights | None:
    """The weights that ``ref`` means, where they are no model's or adapter's; ``None`` for everything else."""
    path = Path(ref).expanduser()
    if path.is_dir():
        files = tuple(sorted(path.glob("*.safetensors")))
        return BareWeights(path, files) if files and not is_model_folder(path) else None
    if is_gguf(ref):
        return BareWeights(path, (path,))
    if path.suffix != ".safetensors" or not path.is_file() or is_model_folder(path.parent):
        return None
    whole = BareWeights(path.parent, tuple(sorted(path.parent.glob("*.safetensors"))))
    return whole if _speaks_of(path) else BareWeights(path, (path,))


def _speaks_of(path: Path) -> bool:
    """Whether the certificate in the file's folder lists it: then the folder is the artefact."""
    place = path.parent / CERTIFICATE
    value = read_json(place) if place.is_file() else {}
    files = value.get("files") if isinstance(value, dict) else None
    return any(isinstance(file, dict) and file.get("path") == path.name for file in files or [])
