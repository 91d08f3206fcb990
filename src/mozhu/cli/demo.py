"""``mozhu demo``: the main job end to end."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import shown, would_write
from mozhu.demo.stages import Demo, Story, is_done, read_story
from mozhu.kernel.files import sha256_json
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.demo import DemoSpec
from mozhu.workspace.places import with_absolute_paths


def act(call: Call) -> int:
    workspace = call.home
    spec: DemoSpec = with_absolute_paths(with_references(call.spec, workspace))
    folder = Path(spec.output_dir) if spec.output_dir else workspace.output / _name(spec)
    if call.dry_run:
        return would_write(call, [folder])
    if is_done(folder):
        call.output.say(text("demo.already", path=shown(folder)))
        story = read_story(folder)
    else:
        demo = Demo(folder, spec.model, spec.dataset, call.output.say, quiet=call.quiet)
        story = demo.run()
    _show(call, story, folder)
    return 0 if all(fault["refused"] for fault in story.faults) else 1


def _name(spec: DemoSpec) -> str:
    """``demo``, or a name of its own for another model or other rows."""
    if spec.model == "starter" and spec.dataset is None:
        return "demo"
    return f"demo-{sha256_json([spec.model, spec.dataset]).removeprefix('sha256:')[:8]}"


def _show(call: Call, story: Story, folder: Path) -> None:
    rows = [
        (
            text(f"demo.{stage.name}"),
            stage.made,
            shown(Path(stage.place)) if stage.place != "-" else "-",
            stage.seconds,
        )
        for stage in story.stages
    ]
    columns = [text(f"demo.column.{name}") for name in ("stage", "made", "place", "seconds")]
    call.output.table(columns, rows, value={"folder": str(folder), **story.to_json()})
    call.output.say("")
    call.output.say(text("demo.report", path=shown(folder / "report.html")))
    call.output.say(text("demo.next"))
    for command in (
        f"mozhu infer --checkpoint {shown(folder / 'train')} --mode interactive",
        f"mozhu registry show {story.versions[0].partition(':')[0]}"
        if story.versions
        else "mozhu registry list",
        "mozhu data prepare --input rows.json --output_dir data/mine",
    ):
        call.output.say(f"  {command}")


COMMAND = Command("demo", act, DemoSpec, switches=("dry_run", "quiet"))
