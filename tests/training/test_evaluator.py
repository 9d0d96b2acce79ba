"""What is measured of a network."""

import pytest
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.heads import DepthHead, NormalHead
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.evaluator import Evaluator


class Run:
    """What the evaluator asks of a LightningModule."""

    device, trainer = torch.device("cpu"), None

    def __init__(self, network: Network) -> None:
        self.network = network
        self.swapped: list[bool] = []
        self.logged: dict[str, float] = {}

    def swap_ema(self, use: bool) -> None:
        self.swapped.append(use)

    def log_dict(
        self, dictionary: dict[str, float], prog_bar: bool = False, *, sync_dist: bool = False
    ) -> None:
        self.logged |= dictionary


def test_heads_are_measured_on_the_batches_that_have_their_labels() -> None:
    network = Network(Sapiens2("test", (64, 48)), {"normal": NormalHead(32), "depth": DepthHead(32)}).eval()
    run, evaluator = Run(network), Evaluator(flip_test=True)
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    batch = {"image": images, "depth": torch.rand(2, 1, 64, 48) + 1}
    evaluator.start("validate", run)
    with torch.no_grad():
        outputs = evaluator.step("validate", network, batch)
        assert outputs.keys() == {"depth"}
        assert evaluator.step("validate", network, {"image": images}) == {}
        expected = network.evaluate(images, ["depth"], flip=True)["depth"]
    torch.testing.assert_close(outputs["depth"], expected)
    evaluator.finish("validate", run)
    assert run.swapped == [True, False]
    assert {"val/score", "val/depth/loss", "val/depth/abs_rel"} <= run.logged.keys()
    assert run.logged["val/score"] == pytest.approx(1 / (1 + run.logged["val/depth/abs_rel"]))
