"""Show how far a run is: a bar on a terminal, plain lines without one; both count optimizer steps."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import lightning as L
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar

from sapiens2_lit.callbacks.throughput import Speed, Throughput
from sapiens2_lit.visualization.words import duration

FORMAT = "{n_fmt}/{total_fmt} {bar} {remaining}{postfix}"  # the bar fills the rest of the line
SILENCE = 30.0  # seconds after which an evaluation without a terminal writes how far it is


def progress_of_run(stream: TextIO | None = None) -> ProgressBar:
    """Return a bar if standard output is a terminal, else plain lines: a log file would keep every refresh of a bar."""
    return RunProgressBar() if (stream or sys.stdout).isatty() else ProgressLines()


class RunProgressBar(TQDMProgressBar):
    """Shows optimizer steps of the whole run, the time left, images per second, waiting, the loss and the last score.

    Fine-tuning on few images passes through many short epochs, whose bars tell nothing of the end. Values are read
    only at log steps, since reading them makes the host wait for the device.
    """

    def init_train_tqdm(self) -> Any:
        """Return Lightning's bar with this package's format."""
        bar = super().init_train_tqdm()
        bar.bar_format = FORMAT
        return bar

    def on_train_start(self, trainer: L.Trainer, *_: Any) -> None:
        super().on_train_start(trainer, *_)
        bar = self.train_progress_bar
        bar.total, bar.initial, bar.n = total_steps(trainer), trainer.global_step, trainer.global_step

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Do nothing: the bar shows the whole run."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, bar = trainer.global_step, self.train_progress_bar
        if bar.disable or step == bar.n:
            return
        last = step == bar.total
        if is_log_step(trainer) or last:
            values = self.get_metrics(trainer, pl_module)
            bar.set_postfix_str(bar_text(speed_of(trainer), values), refresh=False)
        bar.n = step
        if step % self.refresh_rate == 0 or last:
            bar.refresh()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Do nothing: the bar shows the whole run."""

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Do what Lightning's bar does, with this package's values behind the bar."""
        if self._train_progress_bar is not None and trainer.state.fn == "fit":
            values = self.get_metrics(trainer, pl_module)
            self.train_progress_bar.set_postfix_str(bar_text(speed_of(trainer), values))
        self.val_progress_bar.close()
        self.reset_dataloader_idx_tracker()

    def get_metrics(self, *args: Any) -> dict[str, Any]:
        return {name: value for name, value in super().get_metrics(*args).items() if name != "v_num"}


class ProgressLines(ProgressBar):
    """Writes one line at every log step and after every validation.

    Args:
        clock: Returns seconds that never decrease.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.clock = clock
        self.enabled = True
        self.first_step = self.seen_step = 0
        self.began = self.spoke = self.validated = 0.0

    def disable(self) -> None:
        """Write no more lines."""
        self.enabled = False

    def enable(self) -> None:
        """Write lines again."""
        self.enabled = True

    def say(self, text: str) -> None:
        """Write a line at once, unless disabled."""
        if self.enabled:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
            self.spoke = self.clock()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.first_step = self.seen_step = trainer.global_step
        self.began = self.spoke = self.clock()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step
        stepped, self.seen_step = step != self.seen_step, step
        if not stepped or not self.enabled or not (is_log_step(trainer) or step == total_steps(trainer)):
            return
        values = training_values(self.get_metrics(trainer, pl_module))
        left = self.left(trainer)
        self.say("  ".join([place(trainer), *values, *speed_words(speed_of(trainer)), *left]))

    def left(self, trainer: L.Trainer) -> list[str]:
        """Return the time left, at the pace since this process started training, validation included."""
        total, done = total_steps(trainer), trainer.global_step - self.first_step
        if total is None or not done:
            return []
        return [f"left {duration((self.clock() - self.began) / done * (total - trainer.global_step))}"]

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validated = self.spoke = self.clock()

    on_test_start = on_validation_start

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        found = trainer.callback_metrics
        values = [
            f"{name} {float(found[f'val/{name}']):.4f}"
            for name in ("score", "loss")
            if f"val/{name}" in found
        ]
        self.say(
            "  ".join(
                [place(trainer), "validation:", *values, f"took {duration(self.clock() - self.validated)}"]
            )
        )

    def on_validation_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        if not trainer.sanity_checking:
            self.say_evaluation("validation", args, kwargs, trainer.num_val_batches)

    def on_test_batch_end(self, trainer: L.Trainer, *args: Any, **kwargs: Any) -> None:
        self.say_evaluation("test", args, kwargs, trainer.num_test_batches)

    def say_evaluation(self, what: str, args: Any, kwargs: Any, counts: Any) -> None:
        """Write how far an evaluation is, if no line was written for a while.

        Args:
            what: `validation` or `test`.
            args: Positional arguments of the hook.
            kwargs: Keyword arguments of the hook.
            counts: Batches of each loader.
        """
        batch_idx = kwargs.get("batch_idx", args[3] if len(args) > 3 else 0)
        loader = kwargs.get("dataloader_idx", args[4] if len(args) > 4 else 0)
        if self.clock() - self.spoke >= SILENCE:
            self.say(f"{what}: batch {batch_idx + 1} of {counts[loader]}")


def total_steps(trainer: L.Trainer) -> int | None:
    """Return the optimizer steps of the whole run; None if they are unknown."""
    if trainer.max_steps > 0:
        return trainer.max_steps
    steps = trainer.estimated_stepping_batches
    return None if math.isinf(steps) else int(steps)


def is_log_step(trainer: L.Trainer) -> bool:
    """Return whether the step that was just done is logged."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it elsewhere
    return every > 0 and trainer.global_step % every == 0


def speed_of(trainer: L.Trainer) -> Speed | None:
    """Return the last measurement of the run's `Throughput`."""
    found = [callback.speed for callback in trainer.callbacks if isinstance(callback, Throughput)]  # type: ignore[attr-defined]
    return found[0] if found else None


def place(trainer: L.Trainer) -> str:
    """Return where the run is, such as `step 200 of 10,000`."""
    total = total_steps(trainer)
    return f"step {trainer.global_step:,}" + ("" if total is None else f" of {total:,}")


def training_values(values: Mapping[str, Any]) -> list[str]:
    """Return the losses of a step with their names, `loss` first."""
    shown = {
        name.removeprefix("train/"): value for name, value in values.items() if name.startswith("train/")
    }
    return [f"{name} {number(value)}" for name, value in shown.items()]


def speed_words(speed: Speed | None) -> list[str]:
    """Return the speed as words; empty if it was not measured."""
    if speed is None:
        return []
    waits = [] if speed.waiting is None else [f"waits for data {speed.waiting:.0%}"]
    return [f"{short(speed.images)} images/s", *waits]


def bar_text(speed: Speed | None, values: Mapping[str, Any]) -> str:
    """Return the text behind the bar, 52 characters at most."""
    parts = []
    if speed is not None:
        parts.append(f"{short(speed.images)} img/s")
        parts += [] if speed.waiting is None else [f"waits {speed.waiting:.0%}"]
    for name, shown in (("train/loss", "loss"), ("val/score", "score")):
        if name in values:
            parts.append(f"{shown} {number(values[name], 3)}")
    return ", ".join(parts)


def short(rate: float) -> str:
    """Return a rate in few characters: `0.42`, `18.2`, `1234`."""
    return f"{rate:.2f}" if rate < 10 else f"{rate:.1f}" if rate < 100 else f"{rate:.0f}"


def number(value: Any, digits: int = 4) -> str:
    """Return a number with this many significant digits."""
    return f"{float(value):.{digits}g}"
