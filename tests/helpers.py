"""What many test modules use: golden numbers, the options of a quiet run, what a run has logged.

The folder `tests` is on the path of imports (pyproject.toml), so that a test says `from helpers import normal`.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

GOLDEN = Path(__file__).parent / "golden"  # its README says what they are; without them tests fail

EXACT_WARPS = pytest.mark.skipif(
    int(cv2.__version__.split(".")[0]) < 5, reason="OpenCV 4 rounds places to 1/32 pixel, OpenCV 5 does not"
)

QUIET = [  # of `fit` and its like, in this process alone
    *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
    *("--trainer.accelerator", "cpu", "--trainer.devices", "1", "--data.num_workers", "0"),
    *("--pictures.num_samples", "0"),  # a fifth of the time of a run of few steps
]
PICTURES = ("--pictures.num_samples", "2")  # after QUIET, for who looks at them


def normal(name: str, shape: tuple[int, ...]) -> Tensor:
    """Draw the values of that name, float32: the same as those behind the golden numbers."""
    state = np.random.RandomState(zlib.crc32(name.encode()))
    return torch.from_numpy(np.float32(state.standard_normal(shape)))


def fill(module: nn.Module, std: float, ones: tuple[str, ...] = ("norm.weight",)) -> None:
    """Give every parameter the values of its name: about 1 where that ends with one of `ones`, about 0 elsewhere."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(float(name.endswith(ones)) + std * normal(name, tuple(parameter.shape)))


def golden_json(name: str) -> dict[str, Any]:
    """Read a JSON file of the golden numbers."""
    return json.loads((GOLDEN / name).read_text())


def assert_golden_loss(name: str, loss: Tensor, prediction: Tensor) -> None:
    """Compare a loss and its gradient with respect to the prediction with those in `losses.json`."""
    expected = golden_json("losses.json")[name]
    (gradient,) = torch.autograd.grad(loss, prediction)
    found = {
        "value": loss.item(),
        "grad_l2": gradient.norm().item(),
        "grad_abs_sum": gradient.abs().sum().item(),
    }
    assert expected.keys() <= found.keys()
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-5)


def events(run: Path) -> EventAccumulator:
    """Read all that a run has written for TensorBoard."""
    return EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0}).Reload()


def series(run: Path) -> dict[str, list[float]]:
    """Read the logged values by name, in the order of their steps."""
    return {name: list(values.values()) for name, values in scalars(run).items()}


def scalars(run: Path) -> dict[str, dict[int, float]]:
    """Read the logged values by name and step; of a step that was run twice the later one."""
    found = events(run)
    return {
        name: {event.step: event.value for event in found.Scalars(name)} for name in found.Tags()["scalars"]
    }


def write_pose_model(path: Path) -> str:
    """Write a task model of 64 x 48 pixels with fresh weights, as `export` does; returns its path."""
    from sapiens2_lit.backbones import Sapiens2
    from sapiens2_lit.checkpoints import released_state, write_weights
    from sapiens2_lit.heads import PoseHead
    from sapiens2_lit.inference.from_released import METADATA
    from sapiens2_lit.inference.model import InferenceModel

    torch.manual_seed(0)
    network = InferenceModel(Sapiens2("test", (64, 48)), {"pose": PoseHead(32, "coco17")})
    parts = {
        "backbone": ("backbones.Sapiens2", {"size": "test", "image_size": [64, 48]}),
        "pose": ("heads.PoseHead", {"skeleton": "coco17"}),
    }
    made = {
        name: {"class_path": f"sapiens2_lit.{kind}", "init_args": settings}
        for name, (kind, settings) in parts.items()
    }
    config = {"model": {"backbone": made["backbone"], "heads": {"pose": made["pose"]}}}
    write_weights(released_state(network.state_dict(), "pose"), path, metadata={METADATA: json.dumps(config)})
    return str(path)
