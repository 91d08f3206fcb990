"""One line a call, wherever it goes, however often the logger is asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from logger import Logger

from mozhu.kernel.errors import BadToolArgument, NotWritable


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A logger name of this test alone; its files are closed afterwards."""
    yield request.node.name
    logger = logging.getLogger(request.node.name)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def test_asking_again_never_doubles_a_line(name, tmp_path, capsys):
    path = tmp_path / "app.log"
    for _ in range(3):
        logger = Logger(name, file=path).get_logger()
    logger.info("once")
    assert capsys.readouterr().err.count("once") == 1
    assert path.read_text().count("once") == 1
    assert logger is Logger(name).get_logger()


def test_the_root_logger_does_not_write_the_line_again(name, capsys):
    root = logging.StreamHandler()
    logging.getLogger().addHandler(root)
    try:
        Logger(name).get_logger().warning("alone")
    finally:
        logging.getLogger().removeHandler(root)
    assert capsys.readouterr().err.count("alone") == 1


def test_asking_without_a_file_keeps_the_file_that_is_there(name, tmp_path):
    path = tmp_path / "kept.log"
    Logger(name, file=path).get_logger()
    Logger(name).get_logger().info("still here")
    assert "still here" in path.read_text()


def test_the_level_is_kept_unless_one_is_named(name, capsys):
    Logger(name, level="warning").get_logger()
    Logger(name).get_logger().info("hidden")
    Logger(name, level="DEBUG").get_logger().debug("shown")
    assert "hidden" not in (err := capsys.readouterr().err) and "shown" in err


def test_extra_fields_stand_in_the_text(name, capsys):
    Logger(name).get_logger().info("已载入 %d", 3, extra={"rows": 10, "file": "a.json"})
    assert "已载入 3 rows=10 file=a.json" in capsys.readouterr().err


def test_a_json_line_holds_every_field_and_the_traceback(name, tmp_path):
    path = tmp_path / "deep" / "app.jsonl"
    logger = Logger(name, file=path, json_lines=True, console=False).get_logger()
    logger.info("已载入", extra={"rows": 10, "loss": float("nan"), "where": tmp_path})
    try:
        raise ValueError("odd")
    except ValueError:
        logger.exception("failed")
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert (first["message"], first["rows"], first["loss"]) == ("已载入", 10, "nan")
    assert first["where"] == str(tmp_path) and first["level"] == "INFO" and first["logger"] == name
    assert first["t"].endswith("Z") and first["place"].startswith("test_logger.py:")
    assert "ValueError: odd" in second["error"]


def test_a_full_file_is_rotated_and_old_ones_are_dropped(name, tmp_path):
    logger = Logger(name, file=tmp_path / "app.log", console=False, max_bytes=200, backups=2).get_logger()
    for number in range(50):
        logger.info("line %d", number)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["app.log", "app.log.1", "app.log.2"]
    assert "line 49" in (tmp_path / "app.log").read_text()
    assert all(path.stat().st_size <= 200 for path in tmp_path.iterdir())


def test_an_unknown_level_and_a_place_that_cannot_be_written_are_named(name, tmp_path):
    with pytest.raises(BadToolArgument, match="LOUD"):
        Logger(name, level="LOUD")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable):
        Logger(name, file=tmp_path / "file" / "app.log").get_logger()
