"""One network for training, prediction, export and planning."""

import pytest
import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from sapiens2_lit.export.network import ExportNetwork
from sapiens2_lit.heads import Head
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.models.network import Network
from sapiens2_lit.training.module import SapiensModule


class Pixels(Backbone):
    """Feature maps are the normalized image, by channel statistics of its own."""

    embed_dim, depth, patch_size = 3, 1, 1
    mean, std = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        self.place = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images + self.place]

    def init_weights(self) -> None:
        nn.init.zeros_(self.place)

    def load_weights(self) -> None: ...

    def layer_depth(self, name: str) -> int:
        return 0


class Echo(Head):
    multi_scale = True

    def __init__(self, embed_dim: int = 3) -> None:
        super().__init__()

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[-1]

    def unflip(self, outputs: Tensor) -> Tensor:
        return outputs.flip(-1)

    def loss(self, outputs: Tensor, batch: dict) -> dict[str, Tensor]:
        return {}

    def predict(self, outputs: Tensor, batch: dict) -> dict[str, Tensor]:
        return {}


IMAGES = torch.randint(0, 256, (2, 3, 8, 6), dtype=torch.uint8)


def test_every_user_of_a_network_obeys_the_backbone_s_mean_and_std() -> None:
    module = SapiensModule(Pixels, {"echo": Echo})
    module.configure_model()
    backbone = module.network.backbone
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (Pixels.mean, Pixels.std))
    expected = (IMAGES.float() - mean) / std
    predicts = InferenceModel(backbone, {"echo": Echo()}, image_size=(8, 6))
    for network in (module, module.network, predicts, ExportNetwork(backbone, {"echo": Echo()})):
        torch.testing.assert_close(network(IMAGES)["echo"], expected)
    assert (Backbone.mean, Backbone.std) == (IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize("flip", [False, True])
def test_what_training_ran_is_what_predicts(flip: bool) -> None:
    """Averages over the mirrored image and over sizes leave an echo as it is."""
    network = Network(Pixels(), {"echo": Echo()})
    expected = network(IMAGES)["echo"]
    torch.testing.assert_close(network.evaluate(IMAGES, flip=flip)["echo"], expected)
    flat = torch.full((1, 3, 8, 8), 7, dtype=torch.uint8)
    several = network.evaluate(flat, flip=flip, sizes=[(8, 8), (4, 4), (16, 16)])["echo"]
    torch.testing.assert_close(several, network(flat)["echo"])
    assert network.evaluate(IMAGES, [], flip=flip) == {}
