"""One decoder for many heads: it computes dense features once, and every head adds a small last part."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from torch import Tensor, nn

from sapiens2_lit.decoders.chain import units_of
from sapiens2_lit.decoders.init import init_decoder
from sapiens2_lit.decoders.light import LightTrunk, add_detail
from sapiens2_lit.decoders.presets import shared_widths
from sapiens2_lit.decoders.recompute import Recompute, run_units
from sapiens2_lit.errors import SettingError

NAME = "shared_decoder"  # listed among the heads, also in checkpoints
Make = TypeVar("Make", bound=Callable[[int], nn.Module])


class SharedDecoder(LightTrunk):
    """Compute features at a quarter of the image's size, for all heads with `decoder: shared`.

    Args:
        embed_dim: Channels of the backbone's feature map.
    """

    recompute: Recompute = "none"

    def __init__(self, embed_dim: int) -> None:
        super().__init__(embed_dim, shared_widths(embed_dim), detail=True)
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize weights with Kaiming normal (fan-out), zero biases and unit norms."""
        init_decoder(self)

    def forward(self, features: list[Tensor], images: Tensor) -> Tensor:
        """Return features (B, width, 4h, 4w).

        Args:
            features: Feature maps [(B, C, h, w)], the deepest last.
            images: RGB in 0..255, (B, 3, H, W).
        """
        x = run_units(units_of([self.light_layers]), features[-1], self.recompute)
        assert self.detail_layers is not None
        x = add_detail(x, self.detail_layers, images)
        return run_units(units_of([self.mix_layers]), x, self.recompute)


def with_shared_decoder(heads: Mapping[str, Make]) -> dict[str, Make]:
    """Return functions that make a shared decoder and the heads, by name.

    Raises:
        SettingError: A head has the name of the shared decoder.
    """
    if NAME in heads:
        raise SettingError(
            f"model.heads: {NAME} is the name of the decoder that heads share; rename that head"
        )
    return {NAME: partial(SharedDecoder), **heads}  # type: ignore[dict-item]  # called like the makers of heads


def check_sharing(heads: Mapping[str, nn.Module]) -> None:
    """Check that heads that need a shared decoder have one, and that a shared decoder is used.

    Raises:
        SettingError: Only one of both is there.
    """
    takers = [name for name, head in heads.items() if getattr(head, "takes_shared", False)]
    if takers and NAME not in heads:
        raise SettingError(
            f"model.heads.{takers[0]}.decoder: found shared, but there is no shared decoder: set model.shared_decoder "
            "to true, or use decoder: light"
        )
    if NAME in heads and not takers:
        names = ", ".join(f"{name} ({type(head).__name__})" for name, head in heads.items() if name != NAME)
        raise SettingError(
            f"model.shared_decoder: no head uses it: {names}; heads of dense tasks use it with decoder: shared"
        )
