"""Metrics: the numbers of the evaluation, as functions; and a place for one's own."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import metrics
import pytest

from mozhu.kernel import slots
from mozhu.kernel.errors import BadToolArgument, UnknownSlotName

TOOLBOX = Path(__file__).resolve().parents[2] / "1_utils"


def test_accuracy_counts_equal_values_of_any_kind():
    assert metrics.accuracy([1, "是", None], [1, "否", None]) == 2 / 3
    assert math.isnan(metrics.accuracy([], []))


def test_perplexity_weighs_each_loss_by_its_tokens():
    losses, tokens = [1.0, 3.0], [9, 1]
    assert metrics.perplexity(losses, tokens) == pytest.approx(math.exp((9 * 1 + 1 * 3) / 10))
    assert metrics.perplexity([2.0, 4.0]) == pytest.approx(math.exp(3))
    assert metrics.perplexity([math.log(50)]) == pytest.approx(50)
    assert metrics.perplexity([math.nan, 1.0], [0, 5]) == pytest.approx(math.e)
    assert metrics.perplexity([1e9]) == math.inf


@pytest.mark.parametrize("tokens", [[1], [0, 0], [-1, 2], []])
def test_token_counts_that_do_not_fit_are_refused(tokens):
    with pytest.raises(BadToolArgument):
        metrics.perplexity([1.0, 2.0], tokens)


def test_lists_of_different_length_are_refused():
    for call in (metrics.accuracy, metrics.bleu, metrics.f1):
        with pytest.raises(BadToolArgument, match="2"):
            call(["a", "b"], ["a"])


def test_the_text_metrics_are_those_of_the_evaluation():
    pytest.importorskip("sacrebleu")
    pytest.importorskip("numpy")
    answers, references = ["北京是中国的首都", "the cat sat"], ["首都是北京", "the cat sat down"]
    for name, call in (("bleu", metrics.bleu), ("f1", metrics.f1), ("exact_match", metrics.exact_match)):
        assert (
            call(answers, references)
            == slots.load("mozhu.metrics", name).score(list(zip(answers, references, strict=True))).corpus
        )
    assert metrics.bleu("模铸把数据变成模型", "模铸把数据变成模型") == pytest.approx(100)
    assert metrics.rouge("北京是首都", "首都是北京") == pytest.approx(
        {"rouge1": 1, "rouge2": 0.5, "rougeL": 0.4}
    )
    assert metrics.exact_match("ＡＢ ", "AB") == 1


def test_a_registered_metric_is_one_like_the_built_in_ones():
    pytest.importorskip("sacrebleu")
    metrics.register_metric("same_start", lambda a, r: a[:1] == r[:1], rule="first letter")
    assert "same_start" in metrics.metric_names()
    found = metrics.score("same_start", ["abc", "xyz"], ["ab", "ab"])
    assert (found.rows, found.corpus) == ([1.0, 0.0], 0.5)
    assert found.signature == "same_start|first letter|mean"
    assert slots.load("mozhu.metrics", "same_start").better == "higher"


def test_a_metric_that_cannot_be_one_is_refused():
    with pytest.raises(BadToolArgument):
        metrics.register_metric("x", "no function")  # type: ignore[arg-type]
    with pytest.raises(BadToolArgument):
        metrics.register_metric("x", lambda a, r: 1, better="bigger")  # type: ignore[arg-type]
    with pytest.raises(UnknownSlotName, match="rougeL"):
        metrics.score("rougel", "a", "a")


def test_without_the_extra_everything_imports_and_the_missing_one_is_named():
    program = (
        "import sys\n"
        "sys.modules['numpy'] = sys.modules['sacrebleu'] = None\n"
        f"sys.path.append({str(TOOLBOX)!r})\n"
        "import metrics, decorators, file_io, gpu_manager, config_loader, logger\n"
        "from mozhu.kernel.errors import MissingExtra\n"
        "assert metrics.accuracy([1], [1]) == 1\n"
        "metrics.register_metric('mine', lambda a, r: 1)\n"
        "for name in ('bleu', 'mine'):\n"
        "    try:\n"
        "        metrics.score(name, 'a', 'a')\n"
        "    except MissingExtra as error:\n"
        "        assert 'mozhu[train]' in str(error), error\n"
        "    else:\n"
        "        raise SystemExit('no error')\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
