"""A file or a pasted command, read as the settings that it holds."""

from __future__ import annotations

from pathlib import Path

from mozhu.engine.training.importers.forms import FORMS, form_of, recognise
from mozhu.engine.training.importers.given import Settings
from mozhu.engine.training.importers.json_file import read_json_settings
from mozhu.engine.training.importers.shell_file import is_training_script, read_shell
from mozhu.kernel import slots
from mozhu.kernel.errors import MissingFile, UnknownForeignConfig
from mozhu.kernel.files import read_text

_SHOWN = 12
_MOST_BYTES = 4 * 1024 * 1024


def read_settings(written: str, form: str = "auto") -> Settings:
    """The settings of the file ``written``, or of the command that it is.

    Raises:
        MissingFile: FILE-001. NotText: FILE-009. UnreadableForeignConfig: TRAIN-104.
        UnknownForeignConfig: TRAIN-103, it is none of the three formats. MissingExtra: ENV-001, YAML cannot be read.
    """
    path = Path(written).expanduser()
    if _is_file(path):
        settings = _read(path)
    elif any(blank in written.strip() for blank in " \n\t") and is_training_script(written, written):
        settings = _command(written, written.split("\n")[0][:80], Path.cwd())
    else:
        raise MissingFile(path=written)
    if form != "auto":
        settings.form = form
    if settings.form is None:
        settings.form = recognise(settings.keys)
    if settings.form is None:
        raise _unknown(settings)
    return settings


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a pasted command is too long for a path
        return False


def _read(path: Path) -> Settings:
    """A file by what it holds; its name only decides where both would do."""
    if path.stat().st_size > _MOST_BYTES:
        raise UnknownForeignConfig(file=str(path), forms=_names(), keys="-")
    content = read_text(path)
    source = str(path)
    if content.lstrip().startswith("{"):
        return read_json_settings(content, source)
    if path.suffix.lower() in {".yaml", ".yml"}:
        return _yaml(content, source)
    if (
        path.suffix.lower() in {".sh", ".bash"}
        or content.startswith("#!")
        or is_training_script(content, source)
    ):
        return _command(content, source, path.parent)
    return _yaml(content, source)


def _yaml(content: str, source: str) -> Settings:
    settings: Settings = slots.load("mozhu.rooms", "read_training_yaml")(content, source)
    return settings


def _command(content: str, source: str, folder: Path) -> Settings:
    def named(written: str) -> Settings:
        """The file that a command names: seen from here, else from beside the script."""
        for path in (Path(written).expanduser(), folder / written):
            if path.is_file():
                return _read(path)
        raise MissingFile(path=written)

    settings = read_shell(content, source, named)
    if settings is None:
        raise UnknownForeignConfig(file=source, forms=_names(), keys="-")
    return settings


def _unknown(settings: Settings) -> UnknownForeignConfig:
    keys = list(settings.keys)[:_SHOWN]
    return UnknownForeignConfig(file=settings.source, forms=_names(), keys=keys or "-")


def _names() -> str:
    return ", ".join(form_of(form).name for form in FORMS)
