"""Runs on real processes, started once for all tests of a kind."""

import json
from pathlib import Path

import pytest
import torch
from processes import STEPS, MakeJob

SEVERAL = """
seed_everything: 0
trainer: {gradient_clip_val: 2.0}
model:
  backbone: {class_path: sapiens2_lit.backbones.Sapiens2, init_args: {size: test}}
  heads:
    pose: {class_path: sapiens2_lit.heads.PoseHead, init_args: {skeleton: coco17}}
    seg: {class_path: sapiens2_lit.heads.SegmentationHead}
  loss_weighting: {class_path: sapiens2_lit.training.loss_weighting.UncertaintyWeighting}
data:
  class_path: sapiens2_lit.datamodules.SyntheticDataModule
  init_args: {targets: [keypoints, segmentation], samples_per_epoch: 16}
"""


@pytest.fixture(scope="session")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve synthetic people, with the 29 classes of every pixel."""
    from sapiens2_lit.synthetic.dataset.dataset import make_dataset
    from sapiens2_lit.synthetic.dataset.manifest import Settings

    root = tmp_path_factory.mktemp("bodies")
    make_dataset(root, 12, Settings(size=(96, 72), tasks=("segmentation",)), workers=1, progress=False)
    (root / "splits").mkdir(exist_ok=True)
    stems = sorted(path.stem for path in (root / "images").iterdir())
    for stage in ("train", "val"):
        (root / "splits" / f"{stage}.txt").write_text("\n".join(stems))
    return root


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of these tests lie."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def pose_job(figures: Path, runs: Path) -> MakeJob:
    """Makes the command line of a pose run by name: `pose_job(name, ranks, *options)`."""
    return lambda name, ranks, *options: job("pose_17.yaml", figures, runs, name, ranks, *options)


@pytest.fixture(scope="session")
def dense_job(bodies: Path, runs: Path) -> MakeJob:
    """Makes the command line of a segmentation run by name."""
    return lambda name, ranks, *options: job("segmentation_29.yaml", bodies, runs, name, ranks, *options)


@pytest.fixture(scope="session")
def several_job(runs: Path) -> MakeJob:
    """Makes the command line of a run with two heads and learned weights of their losses."""
    config = runs / "several.yaml"
    config.write_text(SEVERAL)
    return lambda name, ranks, *options: job(str(config), None, runs, name, ranks, *options)


@pytest.fixture(scope="session")
def weights(runs: Path) -> Path:
    """A pretrained backbone of size `test`."""
    from sapiens2_lit.backbones import Sapiens2
    from sapiens2_lit.checkpoints import write_weights

    torch.manual_seed(7)
    return write_weights(Sapiens2("test").state_dict(), runs / "weights" / "model.safetensors")


def job(config: str, root: Path | None, runs: Path, name: str, ranks: int, *options: object) -> list[str]:
    """Four samples a step, whatever the number of ranks; losses are recorded in `recorded/NAME`."""
    callbacks = [
        {"class_path": "processes.Recorder", "init_args": {"folder": str(runs / "recorded" / name)}},
        {
            "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
            "init_args": {
                "dirpath": str(runs / "kept" / name),
                "filename": "{step}",
                "every_n_train_steps": STEPS // 2,
                "save_top_k": -1,
            },
        },
    ]
    arguments = ["fit", "--config", config, "--config", "size/smoke.yaml"]
    arguments += ["--data.root", root] if root else []
    arguments += ["--data.num_workers", 0, "--data.batch_size", 4 // ranks]
    arguments += ["--trainer.accelerator", "cpu", "--trainer.devices", ranks, "--trainer.max_steps", STEPS]
    arguments += ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
    arguments += ["--pictures.num_samples", 0]
    arguments += ["--trainer.limit_val_batches", 0, "--trainer.callbacks", json.dumps(callbacks)]
    arguments += ["--output", runs / name, *options]
    return [str(argument) for argument in arguments]
