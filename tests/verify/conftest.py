"""Folders as they are released, of tiny networks with random weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from released_files import write_backbone, write_task

from sapiens2_lit.verify.setting import Setting


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a backbone and two task models; tests that change something copy it."""
    root = tmp_path_factory.mktemp("downloads")
    write_backbone(root / "backbone")
    write_task(root / "normals", "normal")
    write_task(root / "parts", "seg")
    return root


@pytest.fixture
def make_setting(tmp_path: Path) -> Callable[..., Setting]:
    """Settings of the command, on the CPU."""

    def make(*weights: Path, **settings: object) -> Setting:
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        given = tuple(str(one) for one in weights)
        return Setting(torch.device("cpu"), scratch, weights=given, **settings)  # type: ignore[arg-type]

    return make
