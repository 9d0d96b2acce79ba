"""What counts in an evaluation of several processes."""

import torch

from sapiens2_lit.scoring import counted_only


def test_only_counted_samples_stay() -> None:
    """Tensors and lists by sample; what is said of the whole batch stays as it is."""
    batch = {
        "image": torch.arange(3),
        "name": ["a", "b", "c"],
        "dataset": "pose",
        "counted": torch.tensor([True, False, True]),
    }
    outputs, counted = counted_only({"map": torch.arange(3) * 10}, batch)
    assert isinstance(outputs, dict)
    assert outputs["map"].tolist() == [0, 20]
    assert counted["image"].tolist() == [0, 2]
    assert counted["name"] == ["a", "c"]
    assert counted["dataset"] == "pose"
