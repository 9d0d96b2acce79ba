"""How decoders compute: in which precision, and in which order their maps lie in memory."""

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
    """Settings of all decoders, the one that heads share included.

    Args:
        precision: `same` as the backbone, or `bf16` by autocast, whatever that computes in; last layers of dense fields
            stay in float32.
        channels_last: let the channels of a pixel lie side by side, as tensor cores want them; not under FSDP2.

    Raises:
        SettingError: an unknown precision.
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
        """Bring the weights of convolutions into the order of the maps, in place."""
        for decoder in decoders if self.channels_last else ():
            for layer in decoder.modules():
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and not layer.weight.is_meta:
                    layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)

    def run(self, decoder: Callable[..., T], features: list[Tensor], *images: Tensor) -> T:
        """Return what a decoder makes of feature maps, and of the images where it takes them."""
        if self.channels_last:
            features = [one.contiguous(memory_format=torch.channels_last) for one in features]
        if self.precision == "same":
            return decoder(features, *images)
        with torch.autocast(features[-1].device.type, torch.bfloat16):
            return decoder(features, *images)
