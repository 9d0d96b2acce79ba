"""Choose the layer of exr files for each label, by `data.layer`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sapiens2_lit.errors import SettingError

if TYPE_CHECKING:
    from sapiens2_lit.data.labels.base import LabelSource


def choose_layers(labels: Sequence["LabelSource"], layer: str | dict[str, str] | None) -> None:
    """Give their layers to the labels that may be exr files.

    Args:
        labels: of a dataset.
        layer: one for all, or one for each key of a batch; None to find them.

    Raises:
        SettingError: a key is no such label, or there are no exr files.
    """
    if layer is None:
        return
    fields = {label.key: label for label in labels if ".exr" in getattr(label, "suffixes", ())}
    chosen = layer if isinstance(layer, dict) else dict.fromkeys(fields, layer)
    if unknown := sorted(chosen.keys() - fields.keys()):
        raise SettingError(
            f"data.layer names {unknown[0]!r}, expected {', '.join(fields) or 'no label here'}."
        )
    for key, name in chosen.items():
        field = fields[key]
        folder = getattr(field, "folder", None)
        if folder is not None and next(folder.rglob("*.exr"), None) is None:
            raise SettingError(
                f"data.layer is {layer!r}, but {folder} holds no exr file: it would have no effect."
            )
        field.layer = name  # type: ignore[attr-defined]  # labels that may be exr files have it
