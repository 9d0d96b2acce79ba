"""What the page is made of, collected while a model is tested."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from sapiens2_lit.callbacks.pictures import compare
from sapiens2_lit.datamodules.loading import collate
from sapiens2_lit.errors import SettingError
from sapiens2_lit.heads.base import Batch, Head, Outputs
from sapiens2_lit.module import SapiensModule
from sapiens2_lit.report.curves import chosen_curves, read_curves
from sapiens2_lit.report.page import HeadReport, Sample, build_page
from sapiens2_lit.synthetic.files import write_file

PAGE = "report.html"


@dataclass(frozen=True)
class Ranked:
    """One tested sample: its loss, where it is (loader, index in its dataset), and its file."""

    loss: float
    loader: int
    index: int
    name: str


class TestReport(L.Callback):
    """Writes `FOLDER/report.html` when a model was tested: metrics, curves, the worst and median samples, the config.

    Of several processes the first one's samples are ranked.

    Args:
        folder: where the page is written.
        run: folder of the run whose training curves it shows, None for no curves.
        samples: how many of the worst, and of those around the median, it shows of each head.

    Raises:
        SettingError: the folder cannot be made.
    """

    def __init__(self, folder: str, run: Path | None = None, samples: int = 6) -> None:
        self.folder = Path(folder)
        self.run = run
        self.samples = samples
        self.ranked: dict[str, list[Ranked]] = {}
        self.heads: dict[str, HeadReport] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingError(f"--report {folder}: the folder cannot be made ({error.strerror})") from error

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(pl_module, SapiensModule)
        loader = loaders(trainer)[dataloader_idx]
        order = list(loader.sampler)
        first = batch_idx * loader.batch_size
        for name, head in pl_module.named_heads():
            if name not in outputs or not all(key in batch for key in head.targets):
                continue
            for row, sample in enumerate(batch["sample"]):
                loss = loss_of(head, outputs[name], batch, row)
                found = Ranked(loss, dataloader_idx, order[first + row], sample)
                self.ranked.setdefault(name, []).append(found)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the chosen samples, while averages are still in the place of the weights."""
        assert isinstance(pl_module, SapiensModule)
        for name, head in pl_module.named_heads():
            ranked = sorted(self.ranked.get(name, []), key=lambda found: -found.loss)
            middle = max(0, (len(ranked) - self.samples) // 2)
            worst, median = ranked[: self.samples], ranked[middle : middle + self.samples]
            report = HeadReport({})
            report.worst = [self.draw(trainer, pl_module, name, head, found) for found in worst]
            report.median = [self.draw(trainer, pl_module, name, head, found) for found in median]
            self.heads[name] = report

    def draw(self, trainer: L.Trainer, module: SapiensModule, name: str, head: Head, found: Ranked) -> Sample:
        batch: Batch = collate([loaders(trainer)[found.loader].dataset[found.index]])
        batch = {key: v.to(module.device) if isinstance(v, Tensor) else v for key, v in batch.items()}
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            outputs = module.evaluate(batch["image"], {name})[name]
        in_input_pixels = {key: value for key, value in batch.items() if key != "affine"}
        with torch.no_grad(), module.full_precision():
            prediction = head.predict(outputs, in_input_pixels)
        return Sample(found.name, found.loss, compare(head, batch, prediction, 0))

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
        write_file(self.folder, PAGE, page.encode())
        rank_zero_info("Wrote %s", self.folder / PAGE)

    def facts(self, trainer: L.Trainer, module: SapiensModule) -> dict[str, str]:
        score = trainer.callback_metrics.get("test/score")
        tested = max((len(ranked) for ranked in self.ranked.values()), default=0)
        facts = {"samples": str(tested), "checkpoint": str(trainer.ckpt_path or module.weights)}
        return facts if score is None else {"score": f"{float(score):.4g}", **facts}


def loaders(trainer: L.Trainer) -> list[Any]:
    found = trainer.test_dataloaders
    return list(found) if isinstance(found, list | tuple) else [found]


def loss_of(head: Head, outputs: Outputs, batch: Batch, row: int) -> float:
    """The sum of the head's loss terms for one sample of a batch."""
    one = slice(row, row + 1)
    own = outputs[one] if isinstance(outputs, Tensor) else {key: value[one] for key, value in outputs.items()}
    terms = head.loss(own, {key: value[one] for key, value in batch.items()})
    return float(torch.stack(list(terms.values())).sum())
