"""Structured logging: the console, and on request a rotating file, as text or as JSON lines.

结构化日志：输出到终端，也可写入自动轮转的文件；文本或 JSON 两种形式。

    from logger import Logger

    logger = Logger("MyApp", file="logs/app.log").get_logger()
    logger.info("loaded", extra={"rows": 10})
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, TextIO

from mozhu.kernel.errors import BadToolArgument
from mozhu.kernel.files import finite, make_folder, writing
from mozhu.kernel.progress import iso_time
from mozhu.kernel.texts import text

# What every record has; anything else came in with `extra=` and is a field of its own.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class Logger:
    """A named logger with its destinations.

    一个有名称的日志器；同一名称多次创建不会重复输出。

    Args:
        name: Name in the log; the same name is the same logger.
        level: Lowest level shown; None keeps what is set, INFO at first.
        file: Also write here; folders are made, the file is rotated.
        json_lines: One JSON object a line instead of text.
        console: Whether standard error is a destination.
        max_bytes: Size at which the file is rotated; ``backups`` older ones are kept.
    """

    def __init__(
        self,
        name: str = "mozhu",
        *,
        level: str | None = None,
        file: str | Path | None = None,
        json_lines: bool = False,
        console: bool = True,
        max_bytes: int = 10 << 20,
        backups: int = 5,
    ) -> None:
        if level is not None and level.upper() not in _LEVELS:
            raise BadToolArgument(
                tool="Logger", name="level", value=level, expected=text("toolbox.expected.level")
            )
        self.name = name
        self._level = level.upper() if level else None
        self._file = Path(file).expanduser().absolute() if file else None
        self._console = console
        self._formatter = JsonFormatter() if json_lines else TextFormatter()
        self._max_bytes, self._backups = max_bytes, backups

    def get_logger(self) -> logging.Logger:
        """The logger, set up; asking again adds no second handler and takes away none.

        Raises:
            NotWritable: FILE-002.
        """
        logger = logging.getLogger(self.name)
        logger.propagate = False  # a handler of the root would write every line twice
        if self._level or logger.level == logging.NOTSET:
            logger.setLevel(self._level or logging.INFO)
        if self._console:
            self._put(logger, "console")
        if self._file:
            self._put(logger, str(self._file))
        return logger

    def _put(self, logger: logging.Logger, place: str) -> None:
        """One handler a place; asked for again, only the form of its lines changes."""
        handler = next((item for item in logger.handlers if item.get_name() == place), None)
        if handler is None:
            handler = _ErrorStream() if place == "console" else self._file_handler(Path(place))
            handler.set_name(place)
            logger.addHandler(handler)
        handler.setFormatter(self._formatter)

    def _file_handler(self, path: Path) -> logging.Handler:
        make_folder(path.parent)
        with writing(path):
            return RotatingFileHandler(
                path, maxBytes=self._max_bytes, backupCount=self._backups, encoding="utf-8"
            )


class TextFormatter(logging.Formatter):
    """``time level name: message key=value …``, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created).strftime("%Y-%m-%d %H:%M:%S")
        fields = "".join(f" {key}={value}" for key, value in extra_fields(record).items())
        line = f"{when} {record.levelname:<7} {record.name}: {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object: ``t`` (UTC), ``level``, ``logger``, ``message``, ``place``, ``error``, extras."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "t": iso_time(datetime.fromtimestamp(record.created, timezone.utc)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "place": f"{record.filename}:{record.lineno}",
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        for key, value in extra_fields(record).items():
            line.setdefault(key, value)
        return json.dumps(finite(line), ensure_ascii=False, default=str)


def extra_fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as ``extra=``."""
    return {key: value for key, value in vars(record).items() if key not in _OWN}


class _ErrorStream(logging.StreamHandler):  # type: ignore[type-arg]
    """Standard error as it is at the moment of writing, so that redirecting it later works."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr
