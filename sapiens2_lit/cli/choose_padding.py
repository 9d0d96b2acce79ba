"""Resolve `padding: null` of a Sapiens v1 backbone: the padding of the file that its weights come from."""

from jsonargparse import Namespace

from sapiens2_lit.checkpoints.sapiens1_file import padding_of_source

_CLASS = "sapiens2_lit.backbones.Sapiens1"


def choose_padding(model: Namespace) -> None:
    """Write the padding of a backbone with `null` into the settings, so that checkpoints record which one it was.

    Args:
        model: Settings of the module; changed in place.

    Raises:
        SettingError: The padding of the weights is not known.
        WeightsError: The weights are not found or cannot be read.
    """
    if model.backbone.class_path != _CLASS:
        return
    settings = model.backbone.init_args
    if settings.padding is None:
        source = model.get("weights") or settings.weights
        settings.padding = padding_of_source(source) if source else 0
