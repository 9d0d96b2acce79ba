"""A tiny model, and pictures to predict on and to score."""

from pathlib import Path

import numpy as np
import pytest
from helpers import write_pose_model
from PIL import Image


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven pictures, of which one is broken."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(rng.integers(0, 255, (50 + index, 40, 3), dtype=np.uint8)).save(
            folder / f"{index}.png"
        )
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_pose_model(tmp_path_factory.mktemp("model") / "pose.safetensors")
