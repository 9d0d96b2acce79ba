"""Checks of a whole model's file before anything is loaded."""

from collections.abc import Mapping

from torch import nn

from sapiens2_lit.checkpoints import is_under
from sapiens2_lit.checkpoints.lazy_safetensors import OpenedWeights
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads import DepthHead
from sapiens2_lit.models.network import Network


def check_whole(tensors: Mapping[str, object], origin: str) -> None:
    """Check that a file holds more than a backbone.

    Raises:
        WeightsError: It holds a backbone without a head.
    """
    if not any(name.startswith(("backbone.", "heads.", "decode_head.")) for name in tensors):
        raise WeightsError(
            f"model.weights: {origin} has a backbone without a head: give it as model.backbone.weights; expected a "
            "task file or a checkpoint."
        )


def check_depth(network: Network, name: str, found: OpenedWeights) -> None:
    """Check that a head reads the depth of Sapiens v1 as such.

    Args:
        network: The network.
        name: Name of the head.
        found: The opened file.

    Raises:
        SettingError: The file predicts the relative depth of Sapiens v1, and the head is not set for it.
    """
    head = network.heads[name]
    if found.layout == "sapiens1" and isinstance(head, DepthHead) and not head.linear:
        raise SettingError(
            f"model.weights: {found.origin} predicts the relative depth of Sapiens v1: set model.heads.{name}.relative "
            f"and model.heads.{name}.linear to true"
        )


def check_dropped(
    drop: tuple[str, ...], tensors: Mapping[str, object], module: nn.Module, origin: str
) -> None:
    """Check the entries of `model.drop`.

    Args:
        drop: Names or leading parts of names.
        tensors: Tensors of the file by name.
        module: The model.
        origin: Name of the file, for errors.

    Raises:
        SettingError: An entry names nothing in the file, or something that the model has.
    """
    for prefix in drop:
        if not any(is_under(name, prefix) for name in tensors):
            known = sorted({".".join(name.split(".")[:2]) for name in tensors if name.startswith("heads.")})
            raise SettingError(
                f"model.drop: {prefix!r} names nothing in {origin}; its heads are {', '.join(known) or 'none'}."
            )
        if any(is_under(name, prefix) for name in nn.Module.state_dict(module)):
            raise SettingError(
                f"model.drop: the model has {prefix!r}; to train it from scratch, list it in model.reinitialize."
            )
