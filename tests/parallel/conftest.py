"""Runs on real processes, started once for all tests of a kind."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # for the processes, too, which import `processes` by this name

FSDP = ("--config", "strategy/fsdp2.yaml")
HSDP = (*FSDP, "--trainer.strategy.replicas", "2")
DDP = ("--config", "strategy/ddp.yaml")
STEPS = 20
MakeJob = Callable[..., list[str]]


@pytest.fixture(scope="session")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve synthetic people, with the 29 classes of every pixel."""
    from sapiens2_lit.synthetic.dataset import make_dataset
    from sapiens2_lit.synthetic.manifest import Settings

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


def job(config: str, root: Path, runs: Path, name: str, ranks: int, *options: object) -> list[str]:
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
    arguments = ["fit", "--config", config, "--config", "size/test.yaml", *options]
    arguments += ["--data.root", root, "--data.num_workers", 0, "--data.batch_size", 4 // ranks]
    arguments += ["--trainer.accelerator", "cpu", "--trainer.devices", ranks, "--trainer.max_steps", STEPS]
    arguments += ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
    arguments += ["--trainer.limit_val_batches", 0, "--trainer.callbacks", json.dumps(callbacks)]
    arguments += ["--output", runs / name]
    return [str(argument) for argument in arguments]
