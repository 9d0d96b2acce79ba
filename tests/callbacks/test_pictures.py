"""Labels beside predictions: what nobody taught a head does not show."""

from pathlib import Path
from typing import Any
from unittest.mock import create_autospec

import cv2
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from torch.utils.tensorboard import SummaryWriter

from sapiens2_lit.callbacks.pictures import log_picture, write_png
from sapiens2_lit.heads import AlbedoHead, DepthHead, Head, MattingHead, NormalHead, PointmapHead
from sapiens2_lit.visualization.compare import compare

SIZE = (32, 48)


def scene() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    valid = torch.zeros(1, 1, *SIZE, dtype=torch.bool)
    valid[..., 8:24, 10:30] = True
    depth = torch.where(valid, 2 + torch.rand(1, 1, *SIZE, generator=generator), 0)
    normal = torch.nn.functional.normalize(torch.randn(1, 3, *SIZE, generator=generator), dim=1)
    return {
        "image": torch.randint(0, 256, (1, 3, *SIZE), generator=generator, dtype=torch.uint8),
        "valid": valid,
        "intrinsics": torch.eye(3)[None],
        "depth": depth,
        "pointmap": torch.cat([depth / 4, depth / 3, depth], dim=1),
        "normal": normal * valid,
        "albedo": torch.rand(1, 3, *SIZE, generator=generator) * valid,
        "alpha": torch.rand(1, 1, *SIZE, generator=generator),
    }


@pytest.mark.parametrize("make", [DepthHead, PointmapHead, NormalHead, AlbedoHead])
def test_predictions_show_where_labels_count(make: type[Head]) -> None:
    head, batch = make(16, **({"image_size": SIZE} if make is PointmapHead else {})), scene()
    key = head.targets[0]
    wild = torch.where(batch["valid"], batch[key], 50.0)
    exact = compare(head, batch, {key: batch[key]}, 0)
    np.testing.assert_array_equal(compare(head, batch, {key: wild, "scale": torch.ones(1)}, 0), exact)
    unlabelled = {name: batch[name] for name in ("image", "valid")}
    assert not np.array_equal(
        compare(head, unlabelled, {key: wild}, 0), compare(head, unlabelled, {key: batch[key]}, 0)
    ), "an image without labels shows all of it"


def test_mattes_show_everywhere() -> None:
    head, batch = MattingHead(16), scene()
    other = torch.where(batch["valid"], batch["alpha"], 1 - batch["alpha"])
    exact = compare(head, batch, {"alpha": batch["alpha"]}, 0)
    assert not np.array_equal(compare(head, batch, {"alpha": other}, 0), exact)


def test_each_logger_is_asked_as_its_documentation_says() -> None:
    """Fakes with the signatures of Lightning's loggers, and of MLflow's client (documented for 2.11 and later)."""
    picture = np.zeros((4, 6, 3), np.uint8)
    tensorboard = create_autospec(TensorBoardLogger, instance=True)
    tensorboard.experiment = create_autospec(SummaryWriter, instance=True)
    wandb = create_autospec(WandbLogger, instance=True)
    mlflow = create_autospec(MLFlowLogger, instance=True)
    mlflow.run_id, mlflow.experiment = "r1", create_autospec(MlflowClient, instance=True)
    for logger in (tensorboard, wandb, mlflow, create_autospec(CSVLogger, instance=True)):
        log_picture(logger, "val/pose", picture, 60)
    tensorboard.experiment.add_image.assert_called_once_with("val/pose", picture, 60, dataformats="HWC")
    wandb.log_image.assert_called_once_with(key="val/pose", images=[picture], step=60)
    mlflow.experiment.log_image.assert_called_once_with("r1", picture, key="val/pose", step=60)


class MlflowClient:
    """The signature of mlflow.MlflowClient.log_image."""

    def log_image(
        self,
        run_id: str,
        image: Any,
        artifact_file: str | None = None,
        key: str | None = None,
        step: int | None = None,
        timestamp: int | None = None,
        synchronous: bool | None = None,
    ) -> None: ...


def test_a_png_has_the_colors_of_the_picture(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    write_png(tmp_path / "step=3" / "pose.png", picture)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "step=3" / "pose.png"))[..., ::-1], picture)
