"""What Transformers' Trainer asks between steps: when to stop, save and validate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mozhu.engine.training.stop import StopFlag
from mozhu.kernel.paths import checkpoint_name

if TYPE_CHECKING:
    from mozhu.engine.training.engines.hf_trainer import EventTrainer


class RunCallback(TrainerCallback):
    """Stops after the step that is under way when asked to, validates the last step before its checkpoint is
    written, and tells of a checkpoint once all of it is there.
    """

    trainer: EventTrainer

    def __init__(self, stop: StopFlag) -> None:
        self._stop = stop

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer.take_untold()
        self.trainer.restart_clock()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step >= state.max_steps and len(self.trainer.validation):
            control.should_evaluate = True
        if self._stop.is_set:
            control.should_save = True
            control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.trainer.emit("checkpoint", step=state.global_step, path=checkpoint_name(state.global_step))
        self.trainer.restart_clock()
