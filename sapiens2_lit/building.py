"""From factories to networks, and whole models from files into them."""

import logging
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.checkpoints import load_state, read_weights, task_state
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.heads.base import Head

log = logging.getLogger(__name__)


def build(
    make_backbone: Callable[[], Backbone], make_heads: Mapping[str, Callable[[int], Head]], pretrained: bool
) -> tuple[Backbone, dict[str, Head]]:
    """The backbone, and the heads on its width.

    Without `pretrained` the backbone's own weights are not read: a checkpoint or a task file will bring them.
    """
    if pretrained:
        backbone = make_backbone()
    else:
        with torch.device("meta"):
            backbone = make_backbone()
        backbone.to_empty(device=torch.empty(0).device)
        backbone.init_weights()
    return backbone, {name: make(backbone.embed_dim) for name, make in make_heads.items()}


def load_task_file(
    module: nn.Module, source: str, reinitialize: tuple[str, ...] = (), drop: tuple[str, ...] = ()
) -> None:
    """Load a released task file, or weights of ours, strictly into a module with `backbone` and `heads`.

    Args:
        reinitialize: names or leading parts of names that keep their fresh values.
        drop: those of the file that are left out.

    Raises:
        SettingError: a released file has one head, and here are several.
        WeightsError: the file is not found, or does not fit outside `reinitialize` and `drop`.
    """
    backbone, heads = module.get_submodule("backbone"), list(module.get_submodule("heads")._modules)
    found = read_weights(source, backbone=getattr(backbone, "weights", None))
    released = any(name.startswith("decode_head.") for name in found.tensors)
    if released and len(heads) != 1:
        raise SettingError(
            f"model.weights: {found.origin} is a task file with one head, here are {len(heads)} "
            f"({', '.join(heads)}); load the backbone alone by model.backbone.weights"
        )
    tensors = found.tensors
    if released:  # without what a loss has counted in the data
        own = {
            name: value
            for name, value in module.state_dict().items()
            if name.startswith(f"heads.{heads[0]}.losses.")
        }
        tensors = own | task_state(found.tensors, heads[0])
    network = nn.ModuleDict({"backbone": backbone, "heads": module.get_submodule("heads")})
    ignore = dict.fromkeys(drop, "dropped, as asked")
    report = load_state(network, tensors, source=found.origin, reinitialize=reinitialize, ignore=ignore)
    log.info("%s", report.summary())


def match_state(module: nn.Module, tensors: Mapping[str, Tensor], left_out: frozenset[str]) -> None:
    """Check that a checkpoint belongs to this model before anything of it is loaded.

    Args:
        left_out: names that the checkpoint says it need not hold, because the pretrained backbone has them.

    Raises:
        WeightsError: names or shapes differ; lists them and says what to look at.
    """
    own = nn.Module.state_dict(module)
    missing = sorted(own.keys() - tensors.keys() - left_out)
    unexpected = sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name}: {tuple(tensors[name].shape)} in the checkpoint, {tuple(own[name].shape)} here"
        for name in sorted(own.keys() & tensors.keys())
        if tensors[name].shape != own[name].shape
    ]
    parts = [
        ("missing in the checkpoint", missing),
        ("unknown here", unexpected),
        ("of another shape", shapes),
    ]
    if lines := [f"{len(names)} {what}: {'; '.join(names[:5])}" for what, names in parts if names]:
        raise WeightsError(
            "the checkpoint is of another model:\n  " + "\n  ".join(lines) + "\n"
            "Compare model.backbone.size and the heads' settings (such as the skeleton) with those it was trained with."
        )
