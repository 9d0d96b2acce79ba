"""`padding: null` of a Sapiens v1 backbone: that of the file which its weights come from."""

from jsonargparse import Namespace

from sapiens2_lit.checkpoints.sapiens1_file import padding_of_source

_CLASS = "sapiens2_lit.backbones.Sapiens1"


def choose_padding(model: Namespace) -> None:
    """Write the padding of a backbone that leaves it open into the settings, so that checkpoints say which it was.

    Args:
        model: settings of the module; changed in place.

    Raises:
        SettingError: nobody knows the padding of the weights.
        WeightsError: they are not found or cannot be read.
    """
    if model.backbone.class_path != _CLASS:
        return
    settings = model.backbone.init_args
    if settings.padding is None:
        source = model.get("weights") or settings.weights
        settings.padding = padding_of_source(source) if source else 0
