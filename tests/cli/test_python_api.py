"""Every verb is a function of the package too: light to import, the same errors, and readable in a notebook."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import mozhu
from mozhu.cli.output import Output
from mozhu.display import progress
from mozhu.display.progress import Notebook, Plain, Silent, clock, describe_step, open_view
from mozhu.kernel.errors import InvalidSpec, MissingFile, MozhuError, UnknownPreset
from mozhu.kernel.files import write_jsonl
from mozhu.kernel.texts import set_language
from mozhu.testing import make_tiny_model, tiny_rows

FUNCTIONS = [name for name in mozhu.__all__ if name != "__version__"]
STEP = {
    "kind": "step",
    "t": "2026-11-21T08:00:07.120Z",
    "step": 4,
    "total": 8,
    "loss": 2.5,
    "lr": 2e-4,
    "eta_s": 41,
}


# ---------------------------------------------------------------- importing
def test_importing_the_package_imports_nothing_else() -> None:
    code = (
        "import sys\nbefore = set(sys.modules)\nimport mozhu\n"
        "heavy = {'torch', 'transformers', 'pydantic', 'sqlalchemy', 'rich', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)), sorted(n for n in sys.modules if n.startswith('mozhu.')))\n"
        "mozhu.train, mozhu.chat\nprint(sorted({'torch', 'transformers'} & set(sys.modules)))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == ["[] []", "[]"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_name_is_there_and_documented(name: str) -> None:
    value = getattr(mozhu, name)
    assert callable(value) and value.__doc__ and name in dir(mozhu)


def test_every_verb_that_runs_is_a_function() -> None:
    assert {
        "prepare",
        "train",
        "evaluate",
        "merge",
        "convert",
        "chat",
        "sample",
        "forecast",
        "register",
    } <= set(FUNCTIONS)
    with pytest.raises(AttributeError, match="nothing_here"):
        mozhu.nothing_here  # type: ignore[attr-defined]


# ---------------------------------------------------------------- calling
def test_a_run_of_the_data_functions(own_workspace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = mozhu.sample(own_workspace / "raw")
    run = mozhu.prepare(input=path, output_dir=own_workspace / "made", output_name="mine", quiet=True)
    assert run.metrics == {"train_rows": 8, "validation_rows": 1, "test_rows": 1, "rejected_rows": 0}
    assert (
        run.artefact is not None
        and run.artefact.is_file()
        and (own_workspace / "made/mine_train.jsonl").is_file()
    )
    assert [event["kind"] for event in run.events()][0] == "start"
    assert capfd.readouterr().out == ""
    again = mozhu.run(run.folder, quiet=True)
    assert again.result == run.result


def test_a_forecast_writes_nothing(own_workspace: Path) -> None:
    plan = mozhu.forecast(preset="lora", model="starter")
    assert plan.steps == 9 and plan.peak_memory_bytes > 0 and plan.to_json()["fits"] == plan.fits
    assert list(own_workspace.iterdir()) == [own_workspace / "0_configs"]


def test_errors_are_those_of_the_command_line(own_workspace: Path) -> None:
    set_language("en")
    with pytest.raises(InvalidSpec) as wrong:
        mozhu.train(model="starter", dataset="sample", lora_rank=0, lora_rnk=8)
    assert wrong.value.params["count"] == 2
    with pytest.raises(UnknownPreset):
        mozhu.train(preset="lorra", model="starter")
    with pytest.raises(MozhuError) as caught:
        mozhu.prepare(input="gone.json", output_dir="made", quiet=True)
    assert caught.value.code == "FILE-001" and "gone.json" in str(caught.value)
    assert issubclass(MissingFile, MozhuError)


def test_a_training_that_cannot_start_says_why_in_words(own_workspace: Path) -> None:
    set_language("en")
    with pytest.raises(MozhuError) as caught:
        mozhu.train(model="starter", dataset="gone.json", output_dir="run", quiet=True)
    assert "`gone.json` does not exist" in str(caught.value)
    with pytest.raises(MozhuError) as caught:
        mozhu.train(model="nobody", dataset="gone.json", output_dir="run", quiet=True)
    assert "`gone.json` does not exist" in str(caught.value) and "`nobody`" in str(caught.value)
    assert not (own_workspace / "run").exists()


def test_a_model_is_trained_and_asked_by_functions(own_workspace: Path, notebook: list[str]) -> None:
    model = make_tiny_model(own_workspace / "tiny", layers=1, hidden=32)
    write_jsonl(own_workspace / "rows.jsonl", tiny_rows(4))
    fields = {"model": model, "dataset": own_workspace / "rows.jsonl", "output_dir": own_workspace / "run"}
    run = mozhu.train(**fields, max_steps=2, lora_rank=2)
    assert run.artefact == own_workspace / "run/lora_adapter" and run.metrics["train_loss"] > 0
    assert 'max="2"' in notebook[-1]
    with mozhu.chat(run.folder, max_new_tokens=4) as chat:
        answer = chat.ask("什么是高血压？")
        assert chat.messages == [
            {"role": "user", "content": "什么是高血压？"},
            {"role": "assistant", "content": answer},
        ]
        chat.forget()
        assert chat.messages == [] and chat.ask("什么是高血压？") == answer
    with pytest.raises(MozhuError) as caught:
        mozhu.train(**fields, max_steps=3)
    assert caught.value.code == "RUN-002"


# ---------------------------------------------------------------- progress
@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """IPython as a Jupyter kernel has it; what is displayed comes into the list, newest last."""
    shown: list[str] = []

    def display(html: SimpleNamespace, display_id: bool) -> SimpleNamespace:
        assert display_id is True
        shown.append(html.data)
        return SimpleNamespace(update=lambda newer: shown.append(newer.data))

    kernel = type("ZMQInteractiveShell", (), {})
    module = ModuleType("IPython")
    shower = ModuleType("IPython.display")
    shower.display, shower.HTML = display, lambda data: SimpleNamespace(data=data)  # type: ignore[attr-defined]
    module.get_ipython, module.display = kernel, shower  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", shower)
    return shown


def test_in_a_notebook_one_line_is_replaced_in_place(notebook: list[str]) -> None:
    set_language("en")
    view = open_view()
    assert isinstance(view, Notebook)
    view.show(STEP)
    assert '<progress value="4" max="8">' in notebook[-1] and "loss 2.5000" in notebook[-1]
    view.show({"kind": "eval", "step": 4, "loss": 2.25})
    view.show({**STEP, "step": 8})
    view.close()
    assert notebook[-1].count("<progress") == 1 and 'value="8"' in notebook[-1] and "2.2500" in notebook[-1]


def test_names_from_data_cannot_put_html_into_a_notebook(notebook: list[str]) -> None:
    view = open_view()
    view.show({"kind": "log", "message": "<script>alert(1)</script>"})
    assert "<script>" not in notebook[-1] and "alert(1)" in notebook[-1]


def test_outside_a_notebook_lines_go_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    view = open_view()
    assert isinstance(view, Plain)
    view.show(STEP)
    view.show({**STEP, "step": 5, "t": "2026-11-21T08:00:08.000Z"})  # too soon for a line of its own
    view.show({**STEP, "step": 8, "t": "2026-11-21T08:00:09.000Z"})
    view.close()
    out, err = capfd.readouterr()
    assert out == "" and [line.split()[0] for line in err.splitlines()] == ["4/8", "8/8"]
    quiet = open_view(quiet=True)
    assert isinstance(quiet, Silent)
    quiet.show(STEP)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("view", [Silent, Plain, progress.Terminal])
def test_every_view_shows_every_kind_of_event(
    view: Callable[[], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    opened = view()
    for kind in (
        "start",
        "step",
        "eval",
        "sample",
        "log",
        "checkpoint",
        "resumed",
        "done",
        "failed",
        "cancelled",
    ):
        opened.show({"kind": kind, "t": "2026-11-21T08:00:07.120Z"})
    opened.show({"kind": "finding", "level": "warning", "code": "TRAIN-030", "params": {"rows": 8}})
    opened.show({"kind": "finding", "level": "warning", "code": "NEW-999", "params": {"rows": 8}})
    opened.show(
        {
            "kind": "step",
            "t": "2026-11-21T08:00:17.120Z",
            "step": 1,
            "total": 2,
            "loss": "nan",
            "eta_s": "inf",
        }
    )
    opened.close()
    assert capfd.readouterr().out == ""


def test_brackets_in_words_are_shown_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    """`pip install "mozhu[quant]"` and a folder named `[/x]` are no markup."""
    words = 'see [/data] and pip install "mozhu[quant]"'
    view = progress.Terminal()
    view.show({"kind": "log", "t": "2026-11-21T08:00:07.120Z", "message": words})
    view.close()
    assert words in capfd.readouterr().err
    Output().table(["name"], [[words], ["[red]x"]], value=None)
    out = capfd.readouterr().out
    assert words in out and "[red]x" in out


def test_numbers_are_shown_as_people_read_them() -> None:
    assert (
        describe_step({**STEP, "tokens_per_s": 5120.4}) == "loss 2.5000 · lr 2.0e-04 · 5,120 tok/s · ETA 0:41"
    )
    assert describe_step({"loss": "nan"}) == "loss nan"
    assert [clock(seconds) for seconds in (0.4, 59.6, 3723, -1, "nan")] == [
        "0:00",
        "1:00",
        "1:02:03",
        "0:00",
        "-",
    ]


def test_the_registry_and_the_workspace_are_functions_too(own_workspace: Path) -> None:
    laid = mozhu.init(own_workspace / "mine")
    assert "0_configs/0_train_config.json" in laid.written
    model = make_tiny_model(own_workspace / "tiny", layers=1, hidden=32)
    done = mozhu.register(model, name="tiny-one")
    assert [one.name for one in mozhu.registry_list()] == ["tiny-one"]
    assert mozhu.registry_show("tiny-one").chosen.reference == done.version.reference
    assert mozhu.registry_validate(model).is_whole
    assert mozhu.registry_edit("tiny-one", description="小的", tags="zh").chosen.tags == ("zh",)
    assert mozhu.registry_share("tiny-one", "user:ann", right="use") == [
        {"subject": "user:ann", "right": "use"}
    ]
    assert mozhu.registry_rate("tiny-one", 4) == {"mean": 4.0, "count": 1}
    assert mozhu.registry_suggest("tiny-one")["version"] == "v2"
    assert mozhu.registry_alias("tiny-one", "best")[0]["reference"] == "tiny-one:v1"
    assert mozhu.registry_lineage("tiny-one")["start"] == {"kind": "version", "reference": "tiny-one:v1"}
    assert mozhu.registry_delete("tiny-one", dry_run=True) == ["tiny-one:v1"]
    assert mozhu.registry_delete("tiny-one") == ["tiny-one:v1"] and mozhu.registry_list("小") == []
    assert mozhu.registry_restore("tiny-one").model.name == mozhu.registry_list("小", limit=1)[0].name
    folder = own_workspace / "5_models" / done.version.path
    folder.rename(own_workspace / "aside")
    assert mozhu.registry_rescan(dry_run=True).gone == (done.version.reference,)
    assert [one.name for one in mozhu.registry_list()] == ["tiny-one"], "a dry run changes no row"
    assert mozhu.runs() == []
