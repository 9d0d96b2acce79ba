"""What all datamodules have in common."""

from types import SimpleNamespace

import pytest
import torch

from sapiens2_lit.datamodules import SyntheticDataModule
from sapiens2_lit.datamodules import base as base_module


@pytest.mark.parametrize(
    ("device", "workers", "settings", "ahead"),
    [
        ("cuda", 1, {}, True),
        ("cuda", 1, {"moves_ahead": False}, False),
        ("cuda", 0, {}, False),
        ("cpu", 1, {}, False),
    ],
)
def test_batches_move_ahead_to_cuda_unless_told_otherwise(
    device: str, workers: int, settings: dict[str, bool], ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_module, "SideStream", lambda device, stays: ("stream", device, stays))
    data = SyntheticDataModule((64, 48), "coco17", batch_size=2, num_workers=workers, **settings)
    data.setup("fit")
    data.trainer = SimpleNamespace(  # type: ignore[assignment]  # what the loader asks of a Trainer
        strategy=SimpleNamespace(root_device=torch.device(device)), distributed_sampler_kwargs=None
    )
    move = data.train_dataloader().move
    assert move == (("stream", torch.device(device), frozenset({"pixel_seed"})) if ahead else None)
