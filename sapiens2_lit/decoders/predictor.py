"""The name of a decoder's last layer."""

from torch import nn

from sapiens2_lit.errors import SettingError


def checked_name(name: str, decoder: nn.Module) -> str:
    """Return `name` if it can be the name of a new child of `decoder`.

    Raises:
        SettingError: It is empty, has a dot, or is taken.
    """
    if not name.isidentifier() or hasattr(decoder, name):
        raise SettingError(
            f"predictor: found {name!r}, expected a new name for the last layer, such as conv_pose."
        )
    return name
