"""Sizes of Sapiens v1 backbones: one row with width, depth and heads for each."""

from dataclasses import dataclass

from sapiens2_lit.errors import SettingError, WeightsError

MLP_RATIO = 4  # hidden channels of the feed-forward network / channels of a token


@dataclass(frozen=True)
class Sapiens1Size:
    """Shape of a backbone.

    Args:
        width: Channels C of a token.
        depth: Number of blocks.
        heads: Number of attention heads, a divisor of C.

    Raises:
        SettingError: The numbers do not fit together.
    """

    width: int
    depth: int
    heads: int

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads"):
            if getattr(self, name) < 1:
                raise SettingError(f"size.{name}: found {getattr(self, name)}, expected at least 1.")
        if self.width % self.heads:
            raise SettingError(
                f"size.heads: found {self.heads} heads for width {self.width}, expected a divisor of the width."
            )


SAPIENS1_SIZES = {
    "0.3b": Sapiens1Size(1024, 24, 16),
    "0.6b": Sapiens1Size(1280, 32, 16),
    "1b": Sapiens1Size(1536, 40, 24),
    "2b": Sapiens1Size(1920, 48, 32),
}
HIDDEN_SAPIENS1_SIZES = {"test": Sapiens1Size(32, 3, 2)}  # for tests


def find_sapiens1_size(size: str | Sapiens1Size) -> Sapiens1Size:
    """Return the size with this name; a size is returned itself.

    Raises:
        SettingError: No size has this name.
    """
    if isinstance(size, Sapiens1Size):
        return size
    row = (SAPIENS1_SIZES | HIDDEN_SAPIENS1_SIZES).get(size)
    if row is None:
        raise SettingError(f"size: found {size!r}, expected one of {', '.join(SAPIENS1_SIZES)}.")
    return row


def sapiens1_size_name(width: int, depth: int) -> str | None:
    """Return the name of the size with this width and depth; None if there is none."""
    rows = (SAPIENS1_SIZES | HIDDEN_SAPIENS1_SIZES).items()
    return next((name for name, row in rows if (row.width, row.depth) == (width, depth)), None)


def known_size_name(width: int, depth: int, origin: str) -> str:
    """Return the name of the size with this width and depth, for a file.

    Args:
        width: Channels of a token.
        depth: Number of blocks.
        origin: Name of the file, for the error.

    Raises:
        WeightsError: No size has this width and depth.
    """
    name = sapiens1_size_name(width, depth)
    if name is None:
        known = ", ".join(f"{name} ({row.width}, {row.depth})" for name, row in SAPIENS1_SIZES.items())
        raise WeightsError(
            f"{origin}: a Sapiens v1 backbone {width} wide and {depth} blocks deep, expected one of {known}."
        )
    return name
