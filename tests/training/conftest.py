"""Weights that runs start from."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sapiens2_lit.backbones import Sapiens2


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny backbone, and of another one in `other.safetensors`."""
    folder = tmp_path_factory.mktemp("pretrained")
    for name, seed in (("model", 1), ("other", 2)):
        torch.manual_seed(seed)
        save_file(Sapiens2("test").state_dict(), folder / f"{name}.safetensors")
    return folder
