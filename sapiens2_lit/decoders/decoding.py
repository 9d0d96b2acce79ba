"""How decoders compute: their precision, and the memory order of their maps."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

from sapiens2_lit.errors import SettingError

DecoderPrecision = Literal["same", "bf16"]
T = TypeVar("T")


@dataclass(frozen=True)
class Decoding:
    """Settings of all decoders, including a shared one.

    Args:
        precision: `same` as the backbone, or `bf16` by autocast, whatever the backbone computes in; last layers of
            dense heads stay in float32.
        channels_last: Store the channels of a pixel side by side, which tensor cores prefer; not with FSDP2.

    Raises:
        SettingError: The precision is unknown.
    """

    precision: DecoderPrecision = "same"
    channels_last: bool = False

    def __post_init__(self) -> None:
        if self.precision not in get_args(DecoderPrecision):
            raise SettingError(
                f"model.decoding.precision: found {self.precision!r}, expected one of "
                f"{', '.join(get_args(DecoderPrecision))}"
            )

    def prepare(self, decoders: Iterable[nn.Module]) -> None:
        """Store the weights of convolutions in the memory order of the maps, in place."""
        for decoder in decoders if self.channels_last else ():
            for layer in decoder.modules():
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and not layer.weight.is_meta:
                    layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)

    def run(self, decoder: Callable[..., T], features: list[Tensor], *images: Tensor) -> T:
        """Run a decoder on feature maps.

        Args:
            decoder: Called with the maps, and with the images if they are given.
            features: [(B, C, H/p, W/p)], the deepest last.
            images: RGB in 0..255, (B, 3, H, W), for decoders that take them.
        """
        if self.channels_last:
            features = [one.contiguous(memory_format=torch.channels_last) for one in features]
        if self.precision == "same":
            return decoder(features, *images)
        with torch.autocast(features[-1].device.type, torch.bfloat16):
            return decoder(features, *images)
