"""Translate names and signs between files of Sapiens v1 and this package. Backbones have the same names, heads do not.

Pose heads are `head.` with a last layer `final_layer`; all others are `decode_head.` with `conv_seg`, whose number of
channels tells the task. There, normals are in OpenGL's camera frame (y up, z toward the viewer); here, in OpenCV's (y
down, z forward). So the last layer's rows of y and z change their signs, which no later layer undoes.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from sapiens2_lit.errors import WeightsError

POSE, OTHERS = "head.", "decode_head."
LAST = {"pose": "final_layer", "seg": "conv_seg", "depth": "conv_seg", "normal": "conv_seg"}
BY_CHANNELS = {1: "depth", 3: "normal"}  # any other number is a number of classes
FRAME = (1.0, -1.0, -1.0)  # factors of a normal's x, y, z

_BACKBONE = re.compile(r"(backbone\.)?layers\.\d+\.ffn\.layers\.")


def is_sapiens1(names: Iterable[str]) -> bool:
    """Return whether tensors with these names belong to a Sapiens v1 backbone, with or without a head."""
    return any(_BACKBONE.match(name) for name in names)


def is_v1_task(tensors: Mapping[str, Any]) -> bool:
    """Return whether tensors are a task file of Sapiens v1 in its original names."""
    own = ("head.deconv_layers.", "head.conv_layers.", "head.final_layer.", "decode_head.conv_seg.")
    return is_sapiens1(tensors) and any(name.startswith(own) for name in tensors)


def task_of(tensors: Mapping[str, Any]) -> str:
    """Return the task of a file, by the names of its head and the channels of its last layer.

    Raises:
        WeightsError: There is no last layer.
    """
    if any(name.startswith(POSE) for name in tensors):
        return "pose"
    last = tensors.get(f"{OTHERS}conv_seg.weight")
    if last is None:
        raise WeightsError(
            "weights: found a Sapiens v1 head without decode_head.conv_seg, expected a last layer."
        )
    return BY_CHANNELS.get(last.shape[0], "seg")


def from_v1(tensors: Mapping[str, Any], task: str | None = None) -> dict[str, Any]:
    """Return a task file of Sapiens v1 in this package's names (`backbone.`, `decode_head.`, `conv_TASK`).

    Args:
        tensors: Tensors of the file, read or not read yet.
        task: Task of its head, if the file itself cannot tell, as with three classes.

    Raises:
        WeightsError: There is no last layer.
    """
    task = task or task_of(tensors)
    old = POSE if task == "pose" else OTHERS
    renamed: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if not name.startswith(old):
            renamed[name] = tensor
            continue
        layer = name.removeprefix(old)
        if layer.startswith(f"{LAST[task]}."):
            layer = f"conv_{task}.{layer.rpartition('.')[2]}"
            tensor = turned(tensor) if task == "normal" else tensor
        renamed[f"{OTHERS}{layer}"] = tensor
    return renamed


def to_v1(tensors: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
    """Return the backbone and one head in the names of Sapiens v1; the inverse of `from_v1`."""
    old = POSE if task == "pose" else OTHERS
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer = name.removeprefix(OTHERS)
        if layer.startswith(f"conv_{task}."):
            layer = f"{LAST[task]}.{layer.rpartition('.')[2]}"
            tensor = turned(tensor) if task == "normal" else tensor
        renamed[f"{old}{layer}" if name.startswith(OTHERS) else name] = tensor
    return renamed


def turned(tensor: Any) -> Tensor:
    """Return a normal's last layer, weight (3, C, 1, 1) or bias (3,), in the other frame; reads it if needed."""
    whole: Tensor = tensor if isinstance(tensor, Tensor) else tensor.read(())
    return whole * whole.new_tensor(FRAME).view(-1, *[1] * (whole.ndim - 1))
