"""One row a size of the first generation: how wide and how deep each Sapiens v1 backbone is."""

from dataclasses import dataclass

from sapiens2_lit.errors import SettingError, WeightsError

MLP_RATIO = 4  # hidden channels of the feed-forward network, by channels of a token


@dataclass(frozen=True)
class Sapiens1Size:
    """Shape of a backbone.

    Args:
        width: channels C of a token.
        depth: number of blocks.
        heads: of attention; C is a multiple of it.

    Raises:
        SettingError: the numbers do not fit together.
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
    """Return the row of that name; a row stays what it is.

    Raises:
        SettingError: no size has that name.
    """
    if isinstance(size, Sapiens1Size):
        return size
    row = (SAPIENS1_SIZES | HIDDEN_SAPIENS1_SIZES).get(size)
    if row is None:
        raise SettingError(f"size: found {size!r}, expected one of {', '.join(SAPIENS1_SIZES)}.")
    return row


def sapiens1_size_name(width: int, depth: int) -> str | None:
    """Return the name of the size that is so wide and so deep; None where there is none."""
    rows = (SAPIENS1_SIZES | HIDDEN_SAPIENS1_SIZES).items()
    return next((name for name, row in rows if (row.width, row.depth) == (width, depth)), None)


def known_size_name(width: int, depth: int, origin: str) -> str:
    """As `sapiens1_size_name`, of a file that `origin` names.

    Raises:
        WeightsError: there is none.
    """
    name = sapiens1_size_name(width, depth)
    if name is None:
        known = ", ".join(f"{name} ({row.width}, {row.depth})" for name, row in SAPIENS1_SIZES.items())
        raise WeightsError(
            f"{origin}: a Sapiens v1 backbone {width} wide and {depth} blocks deep, expected one of {known}."
        )
    return name
