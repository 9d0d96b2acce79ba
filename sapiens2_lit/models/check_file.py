"""What is checked of a whole model's file before anything of it is loaded."""

from collections.abc import Mapping

from torch import nn

from sapiens2_lit.checkpoints import is_under
from sapiens2_lit.checkpoints.lazy_safetensors import OpenedWeights
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads import DepthHead
from sapiens2_lit.models.network import Network


def check_whole(tensors: Mapping[str, object], origin: str) -> None:
    """Raise WeightsError where a file holds a backbone alone."""
    if not any(name.startswith(("backbone.", "heads.", "decode_head.")) for name in tensors):
        raise WeightsError(
            f"model.weights: {origin} has a backbone without a head: give it as model.backbone.weights; expected a "
            "task file or a checkpoint."
        )


def check_depth(network: Network, name: str, found: OpenedWeights) -> None:
    """Raise SettingError where a head would read the depth of Sapiens v1 as something else."""
    head = network.heads[name]
    if found.layout == "sapiens1" and isinstance(head, DepthHead) and not head.linear:
        raise SettingError(
            f"model.weights: {found.origin} predicts the relative depth of Sapiens v1: set model.heads.{name}.relative "
            f"and model.heads.{name}.linear to true"
        )


def check_dropped(
    drop: tuple[str, ...], tensors: Mapping[str, object], module: nn.Module, origin: str
) -> None:
    """Raise SettingError where an entry names nothing in the file, or something that the module has."""
    for prefix in drop:
        if not any(is_under(name, prefix) for name in tensors):
            known = sorted({".".join(name.split(".")[:2]) for name in tensors if name.startswith("heads.")})
            raise SettingError(
                f"model.drop: {prefix!r} names nothing in {origin}; its heads are {', '.join(known) or 'none'}."
            )
        if any(is_under(name, prefix) for name in nn.Module.state_dict(module)):
            raise SettingError(
                f"model.drop: the model has {prefix!r}; to train it anew, list it in model.reinitialize."
            )
