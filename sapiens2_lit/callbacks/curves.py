"""Draw the curves of a run as a picture, beside its table of metrics."""

from pathlib import Path

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from sapiens2_lit.callbacks.pictures import write_png
from sapiens2_lit.callbacks.run_log import NAME, read_rows
from sapiens2_lit.report.curve_sheet import curves_of, draw_panels, panels_of

CURVES = "curves.png"


class Curves(L.Callback):
    """Draws `metrics.csv` as `curves.png` after every validation and at the end of training.

    Args:
        monitor: Metric that chooses the best checkpoint; its best value is marked.
        mode: `max` if higher is better, else `min`.
    """

    def __init__(self, monitor: str = "val/score", mode: str = "max") -> None:
        self.monitor, self.mode = monitor, mode
        self.folder: Path | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        run = trainer.log_dir  # every rank must ask
        if run is not None and not getattr(trainer, "fast_dev_run", False):
            self.folder = Path(run)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if not trainer.sanity_checking:
            self.draw(trainer.global_step)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.draw(trainer.global_step)

    @rank_zero_only
    def draw(self, step: int) -> None:
        """Draw the metrics so far."""
        if self.folder is None or not (self.folder / NAME).exists():
            return
        curves = curves_of(read_rows(self.folder / NAME))
        panels = panels_of(curves, self.mode == "max", self.monitor)
        if panels:
            title = f"{self.folder.parent.name}/{self.folder.name}, step {step:,}"
            write_png(self.folder / CURVES, draw_panels(panels, title))
