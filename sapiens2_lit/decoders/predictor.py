"""The name of a decoder's last layer."""

from torch import nn

from sapiens2_lit.errors import SettingError


def checked_name(name: str, decoder: nn.Module) -> str:
    """`name`, if it can name one more child of `decoder`.

    Raises:
        SettingError: it is empty, has a dot, or is taken.
    """
    if not name.isidentifier() or hasattr(decoder, name):
        raise SettingError(
            f"predictor: found {name!r}, expected a new name for the last layer, as conv_pose."
        )
    return name
