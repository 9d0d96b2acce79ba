"""Describe a file of Sapiens v1 by its names and shapes: size, task, and the padding that no file holds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from sapiens2_lit.checkpoints.hf_config import read_config
from sapiens2_lit.checkpoints.hub_ids import is_hub_id
from sapiens2_lit.checkpoints.lazy_safetensors import Readable, open_weights
from sapiens2_lit.checkpoints.reader import locate, read_meta
from sapiens2_lit.checkpoints.task_config import read_task_config
from sapiens2_lit.errors import SettingError, WeightsError

PADDING = "sapiens2_lit.padding"  # key in a header: the padding of a head that was taken out of a checkpoint
LICENCE = "cc-by-nc-4.0"  # license of all released weights
_HUB = re.compile(r"facebook/sapiens-(pretrain|pose|seg|depth|normal)-(0\.3b|0\.6b|1b|2b)")
_PADDED_SEG = (1536, 40)  # 1b: the only size with 28 classes that was trained with padding
CLASSES_28, CLASSES_20 = 28, 20  # of the released models, and of models fine-tuned on CIHP and LIP


@dataclass(frozen=True)
class Shape:
    """What a file of Sapiens v1 holds.

    Attributes:
        width: Channels of a token.
        depth: Number of blocks.
        class_token: Whether it has a class token.
        positions: Number of patches with positions.
        task: Task of the head: pose, seg, depth or normal; None without a head.
        outputs: Channels of the head's last layer, 0 without a head.
    """

    width: int
    depth: int
    class_token: bool
    positions: int
    task: str | None
    outputs: int


def shape_of(tensors: Mapping[str, Readable], origin: str, prefix: str = "") -> Shape:
    """Return what tensors belong to, by names and shapes.

    Args:
        tensors: Tensors of a backbone, a task file in released names (`read_weights`), or a checkpoint of this package.
        origin: Name of the file, for messages.
        prefix: What stands in front of the backbone's names.

    Raises:
        WeightsError: A tensor that every such backbone has is missing.
    """
    missing = [
        name
        for name in ("patch_embed.projection.bias", "pos_embed", "layers.0.attn.qkv.weight")
        if f"{prefix}{name}" not in tensors
    ]
    if missing:
        raise WeightsError(f"{origin}: found no {missing[0]}, expected a Sapiens v1 backbone.")
    numbers = (re.match(rf"{re.escape(prefix)}layers\.(\d+)\.", name) for name in tensors)
    last = [
        (task, tensors[name].shape[0])
        for task in ("pose", "seg", "depth", "normal")
        if (name := f"decode_head.conv_{task}.weight") in tensors
    ]
    task, outputs = last[0] if last else (None, 0)
    class_token = f"{prefix}cls_token" in tensors
    return Shape(
        tensors[f"{prefix}patch_embed.projection.bias"].shape[0],
        max(int(one[1]) for one in numbers if one) + 1,
        class_token,
        tensors[f"{prefix}pos_embed"].shape[1] - int(class_token),
        task,
        outputs,
    )


def known_padding(shape: Shape) -> int | None:
    """Return the padding of the released model with this task, size and number of classes; None if there is none."""
    if shape.task in (None, "depth"):
        return 0
    if shape.task in ("pose", "normal"):
        return 2
    if shape.outputs == CLASSES_28:
        return 2 if (shape.width, shape.depth) == _PADDED_SEG else 0
    return 2 if shape.outputs == CLASSES_20 else None


def own_padding(file: Path) -> int | None:
    """Return the padding that a file of this package was made with; None for other files.

    Raises:
        WeightsError: The file cannot be read.
    """
    config = read_meta(file).get("config") or read_task_config(file)
    model: Any = config.get("model") or {}
    backbone = model.get("backbone") or {}
    settings = (
        backbone.get("init_args") or {} if str(backbone.get("class_path")).endswith(".Sapiens1") else {}
    )
    said = settings.get("padding", _in_header(file))
    return said if isinstance(said, int) else None


def _in_header(file: Path) -> int | None:
    """Return the padding that `take_head` wrote into the header."""
    if file.suffix != ".safetensors":
        return None
    with safe_open(file, framework="pt") as opened:
        said = (opened.metadata() or {}).get(PADDING, "")
    return int(said) if said in ("0", "2") else None


def padding_in(tensors: Mapping[str, Readable], origin: str, place: Path | None, prefix: str = "") -> int:
    """Return the padding of the patch embedding, from a config.json beside the file, else by task, size and classes.

    Args:
        tensors: Tensors of the file.
        origin: Name of the file, for messages.
        place: The file or its folder; None if nothing lies beside it.
        prefix: What stands in front of the backbone's names.

    Raises:
        SettingError: The padding is unknown.
        WeightsError: config.json says something else than 0 or 2.
    """
    said: Any = read_config(place).get("padding") if place is not None else None
    if said is None and place is not None and place.is_file():
        said = own_padding(place)
    if said is not None:
        if said not in (0, 2):
            raise WeightsError(f"{origin}: config.json: padding: found {said!r}, expected 0 or 2.")
        return int(said)
    shape = shape_of(tensors, origin, prefix)
    known = known_padding(shape)
    if known is None:
        raise SettingError(
            f"{origin}: a Sapiens v1 model of {shape.outputs} classes. None such was released, so it is not known "
            "whether its patch embedding is padded, and no file says so. Its configuration does: set "
            "model.backbone.init_args.padding to 2 if that has patch_cfg=dict(padding=2), else to 0; for other "
            'commands write {"padding": 2} or {"padding": 0} into a config.json beside the file.'
        )
    return known


def padding_of_source(source: str) -> int:
    """Return the padding of a file, a folder or a hub id; released repositories are known by their names.

    Files of this package contain it; for others see `padding_in`.

    Raises:
        SettingError, WeightsError: See `padding_in`; or there are no such weights.
    """
    path = Path(source).expanduser()
    if not path.exists() and is_hub_id(source) and (named := _HUB.fullmatch(source)):
        task, size = named.groups()
        return 2 if task in ("pose", "normal") or (task, size) == ("seg", "1b") else 0
    files, _ = locate(source)
    if (said := own_padding(files[0])) is not None:
        return said
    found = open_weights(source)
    prefix = "backbone." if any(name.startswith("backbone.") for name in found.tensors) else ""
    return padding_in(found.tensors, found.origin, path if path.exists() else None, prefix)
