"""Collect the content of the page while a model is tested."""

import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.utilities import rank_zero_info

from sapiens2_lit.atomic_write import check_writable, write_whole
from sapiens2_lit.data.loading import collate
from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.parallel import gather_over_ranks
from sapiens2_lit.report.at_original import draw_views
from sapiens2_lit.report.headlines import headlines
from sapiens2_lit.report.mistakes import Mistakes
from sapiens2_lit.report.origin import curves_of_run, facts_of
from sapiens2_lit.report.page import HeadReport, Sample, build_page, jpeg
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

PAGE = "report.html"
_TILES = 3  # at most for each head


class HtmlReport(L.Callback):
    """Write `FOLDER/report.html` after a test: metrics, curves, the worst and median samples, the configuration.

    Args:
        folder: Where the page is written.
        run: Folder of the run whose training curves it shows; None for no curves.
        samples: Number of the worst samples, and of those around the median, of each head.

    Raises:
        SettingError: The folder cannot be written to; or, when the test starts, its data have no fixed order.
    """

    def __init__(self, folder: str, run: Path | None = None, samples: int = 6) -> None:
        self.folder = Path(folder)
        self.run = run
        self.count = samples
        self.samples: SampleFinder | None = None
        self.ranked: dict[str, list[Ranked]] = {}
        self.heads: dict[str, HeadReport] = {}
        self.mistakes: dict[str, Mistakes] = {}
        self.begun = 0.0
        check_writable(self.folder, "--report")

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.samples = SampleFinder(trainer.test_dataloaders)
        self.ranked = {}
        self.heads = {}
        self.begun = time.monotonic()
        assert isinstance(pl_module, SapiensModule)
        self.mistakes = {name: Mistakes.of(head) for name, head in pl_module.named_heads()}

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
            self.count_mistakes(name, head, outputs[name], batch)
            for row, index in enumerate(indices):
                if "evaluated" in batch and not batch["evaluated"][row]:
                    continue  # another process ranks it
                with full_precision(pl_module.device):
                    loss = loss_of(head, outputs[name], batch, row)
                sample = batch["sample"][row] if "sample" in batch else f"sample {index}"
                self.ranked.setdefault(name, []).append(Ranked(loss, source, index, sample))

    def count_mistakes(self, name: str, head: Head, outputs: Outputs, batch: Batch) -> None:
        """Count confusions on the samples that this process evaluates.

        Args:
            name: Of the head.
            head: The head.
            outputs: Its raw outputs, (B, ...).
            batch: With labels.
        """
        mistakes = self.mistakes[name]
        if mistakes.classes is None and mistakes.skeleton is None:
            return
        own, evaluated = evaluated_only(outputs, batch)
        if not len(evaluated["image"]):
            return
        in_input_pixels = {key: value for key, value in evaluated.items() if key != "affine"}
        with torch.no_grad(), full_precision(evaluated["image"].device):
            mistakes.update(head.predict(own, in_input_pixels), evaluated)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the chosen samples while averaged weights are still in place.

        All processes draw the same ones: if the model is sharded, each takes part in every prediction.
        """
        assert isinstance(pl_module, SapiensModule)
        self.ranked = merge(gather_over_ranks(self.ranked))
        counted = gather_over_ranks({n: (one.confusion, one.sides) for n, one in self.mistakes.items()})
        for name, head in pl_module.named_heads():
            ranked = self.ranked.get(name, [])
            names = short_names(found.name for found in ranked)
            worst, median = (
                [self.draw(trainer, pl_module, name, head, one, names[one.name]) for one in some]
                for some in worst_and_median(ranked, self.count)
            )
            mistakes = Mistakes.of(head)
            for part in counted:
                mistakes.add(*part[name])
            self.heads[name] = HeadReport({}, worst, median, mistakes=mistakes)

    def draw(
        self, trainer: L.Trainer, module: SapiensModule, name: str, head: Head, found: Ranked, title: str
    ) -> Sample:
        """Predict one sample again and draw it.

        Args:
            trainer: Of the test.
            module: That is tested.
            name: Of the head.
            head: The head.
            found: The sample.
            title: Its name on the page.
        """
        assert self.samples is not None
        batch = moved(collate([self.samples.again(found)]), module.device)
        batch.pop("evaluated", None)
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            outputs = module.evaluate(batch["image"], {name})[name]
        in_input_pixels = {key: value for key, value in batch.items() if key != "affine"}
        with torch.no_grad(), full_precision(module.device):
            prediction = head.predict(outputs, in_input_pixels)
        views, remark = draw_views(head, batch, prediction)
        return Sample(title, found.loss, {what: jpeg(view) for what, view in views.items()}, remark)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SapiensModule)
        if not trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        for name, head in pl_module.named_heads():
            prefix, report = f"test/{name}/", self.heads[name]
            report.metrics = {
                key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)
            }
            own = {f"{name}/{key}": value for key, value in report.metrics.items()}
            first = headlines(own, {name: (head.monitor[0], *head.headline)}, _TILES)
            report.headline = list(dict.fromkeys(key.partition("/")[2] for key in first))
        tested = max((len(ranked) for ranked in self.ranked.values()), default=0)
        facts = facts_of(trainer, pl_module, self.run, tested, time.monotonic() - self.begun)
        config = yaml.safe_dump(pl_module.config, sort_keys=False) if pl_module.config else "not known"
        title = "Test of " + ", ".join(self.heads)
        page = build_page(title, facts, self.heads, curves_of_run(self.run), config, values.get("test/score"))
        write_whole(self.folder / PAGE, page.encode())
        rank_zero_info("Wrote %s", self.folder / PAGE)


def loss_of(head: Head, outputs: Outputs, batch: Batch, row: int) -> float:
    """Return the sum of the head's loss terms for one sample of a batch.

    Args:
        head: The head.
        outputs: Its raw outputs, (B, ...).
        batch: With labels.
        row: Of the sample.
    """
    alone = torch.arange(len(batch["image"]), device=batch["image"].device) == row
    own, sample = evaluated_only(outputs, {**batch, "evaluated": alone})
    terms = head.loss(own, sample)
    return float(torch.stack(list(terms.values())).sum())
