"""What every test may use: threads, shared files, generated data."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models run fastest on one thread, and test processes do not fight over cores."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def coco_tiny() -> Path:
    """Four real photographs with 14 labelled people."""
    root = SHARED / "data" / "coco_wholebody_tiny"
    if not root.is_dir():
        pytest.skip("the shared COCO photographs are not beside the project")
    return root


@pytest.fixture(scope="session")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve stick figures for training and six for validation, as a COCO dataset."""
    from sapiens2_lit.stick_figures import write_dataset

    root = tmp_path_factory.mktemp("figures")
    write_dataset(root, {"train": 12, "val": 6}, size=(96, 72))
    return root
