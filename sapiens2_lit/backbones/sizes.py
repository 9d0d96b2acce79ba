"""Sizes of Sapiens2 backbones: one row with width, depth and heads for each, and the image sizes that they take."""

from collections.abc import Sequence
from dataclasses import dataclass

from sapiens2_lit.errors import SettingError

PATCH = 16
WINDOW = 4  # the 4K tokenizer turns WINDOW x WINDOW patches into one token
FULL_ATTENTION = 8  # number of blocks at each end that have as many key-value heads as query heads


@dataclass(frozen=True)
class BackboneSize:
    """Shape of a backbone.

    Args:
        width: Channels C of a token.
        depth: Number of blocks.
        heads: Number of query heads; C / heads must be a multiple of 4 (RoPE: rows and columns, in halves).
        mlp_width: Hidden channels of the feed-forward network.
        tokenizer_depth: Number of blocks of the 4K window tokenizer, where it is used.

    Raises:
        SettingError: The numbers do not fit together.
    """

    width: int
    depth: int
    heads: int
    mlp_width: int
    tokenizer_depth: int

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads", "mlp_width", "tokenizer_depth"):
            if getattr(self, name) < 1:
                raise SettingError(f"size.{name}: found {getattr(self, name)}, expected at least 1.")
        if self.width % (4 * self.heads):
            raise SettingError(
                f"size.heads: found {self.heads} heads for width {self.width}, expected the width to be a "
                f"multiple of 4 x heads = {4 * self.heads}."
            )
        if self.heads % 2 and self.depth > 2 * FULL_ATTENTION:
            raise SettingError(
                f"size.heads: found {self.heads}, expected an even number: with depth {self.depth} the "
                "middle blocks have half as many key-value heads."
            )

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads

    def kv_heads(self, block: int) -> int:
        """Return the number of key-value heads of a block: half in the middle of the network, all elsewhere."""
        grouped = FULL_ATTENTION <= block < self.depth - FULL_ATTENTION
        return self.heads // 2 if grouped else self.heads


SIZES = {
    # without released weights: for demonstrations on a CPU
    "pico": BackboneSize(128, 4, 4, 256, 1),
    "nano": BackboneSize(192, 6, 6, 768, 1),
    "0.1b": BackboneSize(768, 12, 12, 3072, 2),
    "0.4b": BackboneSize(1024, 24, 16, 4096, 2),
    "0.8b": BackboneSize(1280, 32, 16, 5120, 3),
    "1b": BackboneSize(1536, 40, 24, 6144, 4),
    "5b": BackboneSize(2432, 56, 32, 9728, 6),
}
HIDDEN_SIZES = {  # for tests
    "test": BackboneSize(32, 2, 2, 64, 1),
    "tiny": BackboneSize(64, 18, 4, 256, 2),
}


def size_names(hidden: bool = False) -> tuple[str, ...]:
    """Return the names of the sizes from small to large; `hidden` adds the sizes made for tests."""
    return (*SIZES, *HIDDEN_SIZES) if hidden else tuple(SIZES)


def find_size(size: str | BackboneSize) -> BackboneSize:
    """Return the size with this name; a size is returned itself.

    Raises:
        SettingError: No size has this name.
    """
    if isinstance(size, BackboneSize):
        return size
    row = (SIZES | HIDDEN_SIZES).get(size)
    if row is None:
        raise SettingError(f"size: found {size!r}, expected one of {', '.join(size_names())}.")
    return row


def check_image_size(image_size: Sequence[int], multiple: int) -> tuple[int, int]:
    """Return (height, width) in pixels if both are multiples of `multiple`.

    Raises:
        SettingError: They are not two positive integers, or not multiples; the message names the nearest sizes that
            are.
    """
    if len(image_size) != 2 or any(not isinstance(side, int) or side < 1 for side in image_size):
        raise SettingError(
            f"image_size: found {tuple(image_size)}, expected (height, width) in pixels, as in (1024, 768)."
        )
    height, width = image_size
    if height % multiple or width % multiple:
        lower = tuple(max(side // multiple, 1) * multiple for side in image_size)
        upper = tuple(-(-side // multiple) * multiple for side in image_size)
        nearest = " or ".join(str(size) for size in dict.fromkeys((lower, upper)))
        raise SettingError(
            f"image_size: found {(height, width)}, expected both sides to be multiples of {multiple}; "
            f"the nearest such sizes are {nearest} (height, width)."
        )
    return height, width
