"""What the page is made of, collected while a model is tested."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import yaml
from lightning.pytorch.utilities import rank_zero_info

from sapiens2_lit.atomic_write import check_writable, write_whole
from sapiens2_lit.data.loading import collate
from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.parallel import gather_over_ranks
from sapiens2_lit.report.curves import chosen_curves, read_curves
from sapiens2_lit.report.page import HeadReport, Sample, build_page
from sapiens2_lit.report.samples import (
    Ranked,
    SampleFinder,
    merge,
    moved,
    short_names,
    worst_and_median,
)
from sapiens2_lit.training.evaluator import full_precision
from sapiens2_lit.training.module import SapiensModule
from sapiens2_lit.training.validation_metrics import evaluated_only
from sapiens2_lit.visualization.compare import compare

PAGE = "report.html"


class HtmlReport(L.Callback):
    """Writes `FOLDER/report.html` when a model was tested: metrics, curves, the worst and median samples, the config.

    Args:
        folder: where the page is written.
        run: folder of the run whose training curves it shows, None for no curves.
        samples: how many of the worst, and of those around the median, it shows of each head.

    Raises:
        SettingError: the folder cannot be written to; or, when the test starts, its data have no fixed order.
    """

    def __init__(self, folder: str, run: Path | None = None, samples: int = 6) -> None:
        self.folder = Path(folder)
        self.run = run
        self.count = samples
        self.samples: SampleFinder | None = None
        self.ranked: dict[str, list[Ranked]] = {}
        self.heads: dict[str, HeadReport] = {}
        check_writable(self.folder, "--report")

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.samples = SampleFinder(trainer.test_dataloaders)
        self.ranked = {}

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(pl_module, SapiensModule) and self.samples is not None
        source, indices = self.samples.take(batch, dataloader_idx)
        for name, head in pl_module.named_heads():
            if name not in outputs or not all(key in batch for key in head.targets):
                continue
            for row, index in enumerate(indices):
                if "evaluated" in batch and not batch["evaluated"][row]:
                    continue  # another process ranks it
                with full_precision(pl_module.device):
                    loss = loss_of(head, outputs[name], batch, row)
                sample = batch["sample"][row] if "sample" in batch else f"sample {index}"
                self.ranked.setdefault(name, []).append(Ranked(loss, source, index, sample))

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the chosen samples, while averages are still in the place of the weights.

        All processes draw the same ones: where the model is split among them, each has a part in every prediction.
        """
        assert isinstance(pl_module, SapiensModule)
        self.ranked = merge(gather_over_ranks(self.ranked))
        for name, head in pl_module.named_heads():
            ranked = self.ranked.get(name, [])
            names = short_names(found.name for found in ranked)
            worst, median = (
                [
                    Sample(names[one.name], one.loss, self.draw(trainer, pl_module, name, head, one))
                    for one in some
                ]
                for some in worst_and_median(ranked, self.count)
            )
            self.heads[name] = HeadReport({}, worst, median)

    def draw(
        self, trainer: L.Trainer, module: SapiensModule, name: str, head: Head, found: Ranked
    ) -> np.ndarray:
        assert self.samples is not None
        batch = moved(collate([self.samples.again(found)]), module.device)
        batch.pop("evaluated", None)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            outputs = module.evaluate(batch["image"], {name})[name]
        in_input_pixels = {key: value for key, value in batch.items() if key != "affine"}
        with torch.no_grad(), full_precision(module.device):
            prediction = head.predict(outputs, in_input_pixels)
        return compare(head, batch, prediction, 0)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SapiensModule)
        if not trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        for name, report in self.heads.items():
            prefix = f"test/{name}/"
            report.metrics = {
                key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)
            }
        curves = chosen_curves(read_curves(self.run), list(self.heads)) if self.run else {}
        config = yaml.safe_dump(pl_module.config, sort_keys=False) if pl_module.config else "not known"
        page = build_page(
            "Test of " + ", ".join(self.heads), self.facts(trainer, pl_module), self.heads, curves, config
        )
        write_whole(self.folder / PAGE, page.encode())
        rank_zero_info("Wrote %s", self.folder / PAGE)

    def facts(self, trainer: L.Trainer, module: SapiensModule) -> dict[str, str]:
        score = trainer.callback_metrics.get("test/score")
        tested = max((len(ranked) for ranked in self.ranked.values()), default=0)
        facts = {"samples": str(tested), "checkpoint": str(trainer.ckpt_path or module.weights)}
        return facts if score is None else {"score": f"{float(score):.4g}", **facts}


def loss_of(head: Head, outputs: Outputs, batch: Batch, row: int) -> float:
    """The sum of the head's loss terms for one sample of a batch."""
    alone = torch.arange(len(batch["image"]), device=batch["image"].device) == row
    own, sample = evaluated_only(outputs, {**batch, "evaluated": alone})
    terms = head.loss(own, sample)
    return float(torch.stack(list(terms.values())).sum())
