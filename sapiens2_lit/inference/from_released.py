"""Load released task models, and exported ones: task, size and vocabulary are read from the file alone."""

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sapiens2_lit.backbones import Sapiens1
from sapiens2_lit.backbones.positions import grid_of
from sapiens2_lit.backbones.sapiens1_sizes import known_size_name
from sapiens2_lit.backbones.sizes import HIDDEN_SIZES, PATCH, SIZES, WINDOW, BackboneSize
from sapiens2_lit.checkpoints import load_state, read_weights, task_state
from sapiens2_lit.checkpoints.format import BACKBONE
from sapiens2_lit.checkpoints.head_names import SKELETONS, released_classes
from sapiens2_lit.checkpoints.hf_config import class_names, read_config
from sapiens2_lit.checkpoints.hub import fetch
from sapiens2_lit.checkpoints.reader import find_files
from sapiens2_lit.checkpoints.sapiens1_file import padding_in, shape_of
from sapiens2_lit.checkpoints.sapiens1_names import is_sapiens1
from sapiens2_lit.checkpoints.task_config import CONFIG, read_task_config
from sapiens2_lit.decoders import kind_of
from sapiens2_lit.errors import SettingError, WeightsError
from sapiens2_lit.inference.build_from_config import read_factories
from sapiens2_lit.models.build import build
from sapiens2_lit.models.network import Network
from sapiens2_lit.vocabularies import Classes, load_classes, make_classes
from sapiens2_lit.vocabularies.tasks import TASKS

METADATA = CONFIG
RELEASED_SIZE, RELEASED_SIZE_4K = (1024, 768), (4096, 3072)

log = logging.getLogger(__name__)
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Released:
    """The networks of a task model.

    Attributes:
        network: With its weights; its one head is named after its task.
        image_size: (height, width) of the input in training.
        config: The configuration in the file; empty if it has none.
        origin: The source as it was given.
        place: The local file or folder.
    """

    network: Network
    image_size: tuple[int, int]
    config: dict[str, Any]
    origin: str
    place: Path


def read_released(source: str | Path, trust: Iterable[str] = ()) -> Released:
    """Return the networks of a task file, a folder or a hub id, with their weights.

    An exported file may hold its configuration in its header. Otherwise the name of the head's last layer tells the
    task, shapes tell the size, and the number of keypoints or classes tells the vocabulary.

    Args:
        source: The file, the folder or the hub id.
        trust: Classes or modules that its configuration may name, as for `load_model`.

    Raises:
        UntrustedError: Its configuration names a class that is not trusted.
        WeightsError: It is not found, has no head, or has one with an unknown vocabulary.
    """
    place = find_folder(source)
    found = read_weights(place)
    config, origin = config_of(place), str(source)
    made_from = config or {"model": infer_settings(found.tensors, place, origin)}
    network = build(*read_factories(made_from, origin, trust), pretrained=False)
    if len(network.heads) != 1:
        raise WeightsError(f"{origin}: its configuration has {len(network.heads)} heads, expected one")
    task, image_size = next(iter(network.heads)), network.backbone.image_size or RELEASED_SIZE
    kept = {name: value for name, value in network.state_dict().items() if ".losses." in name}
    tensors = network.backbone.fit_tensors(task_state(found.tensors, task), origin, BACKBONE)
    log.info("%s", load_state(network, {**kept, **tensors}, source=origin).summary())
    if isinstance(network.backbone, Sapiens1):
        log.info("%s: %s", origin, network.backbone.licence_notice(origin))
    return Released(network, image_size, config, origin, place)


def find_folder(source: str | Path) -> Path:
    """Return the local file or folder of a source: itself, or its place in the hub's cache."""
    path = Path(source).expanduser()
    return path if path.exists() else fetch(str(source), find_files)[0].parent


def config_of(place: Path) -> dict[str, Any]:
    """Return the configuration in an exported task file; empty if there is none.

    Raises:
        WeightsError: The file cannot be read.
    """
    files = [place] if place.is_file() else find_files(place)
    return read_task_config(files[0]) if len(files) == 1 else {}


def find_task(tensors: Mapping[str, object], origin: str) -> str:
    """Return the TASK of the head's last layer, `decode_head.conv_TASK`.

    Raises:
        WeightsError: There is no head, or its task is unknown.
    """
    head = [name for name in tensors if name.startswith("decode_head.")]
    for task in TASKS:
        if f"decode_head.conv_{task}.weight" in tensors:
            return task
    if any(name.startswith("heads.") for name in tensors):
        raise WeightsError(
            f"{origin}: has heads of sapiens2-lit, but not how they were made; give the run's checkpoint (.ckpt)."
        )
    if not head:
        example = "facebook/sapiens-seg-0.3b" if is_sapiens1(tensors) else "facebook/sapiens2-seg-0.4b"
        raise WeightsError(
            f"{origin}: has no head (`decode_head.`) to predict with; it is probably a pretrained backbone. Expected a "
            f"task model such as {example}, or a checkpoint of a run."
        )
    raise WeightsError(
        f"{origin}: has a head of an unknown task ({', '.join(sorted(head)[:3])}, ...), expected a last layer "
        f"decode_head.conv_TASK with TASK one of {', '.join(TASKS)}; a `transformers` model needs its config.json."
    )


def backbone_size(tensors: Tensors, origin: str) -> str | dict[str, Any]:
    """Return the size of a Sapiens2 backbone from its shapes: its name, or width, depth and the rest if it has no name.

    Args:
        tensors: Of the file, of any shape.
        origin: For messages.

    Raises:
        WeightsError: A tensor that every such backbone has is missing.
    """
    names = {name.removeprefix("backbone."): tensor for name, tensor in tensors.items()}
    try:
        width = names["cls_token"].shape[-1]
        head_width = names["blocks.0.attn.q_norm.weight"].shape[0]
        mlp_width = names["blocks.0.ffn.w3.weight"].shape[1]
    except KeyError as error:
        raise WeightsError(f"{origin}: found no {error.args[0]}, expected a Sapiens2 backbone.") from error
    depth, tokenizer = (count_blocks(names, prefix) for prefix in ("blocks", r"tokenizer\.blocks"))
    sizes = (SIZES | HIDDEN_SIZES).items()
    named = next((name for name, row in sizes if (row.width, row.depth) == (width, depth)), None)
    return named or asdict(BackboneSize(width, depth, width // head_width, mlp_width, max(tokenizer, 1)))


def count_blocks(names: Mapping[str, Tensor], prefix: str) -> int:
    """Return the number of blocks below a prefix, from the tensors' names.

    Args:
        names: Tensors by name, of any shape.
        prefix: Regular expression before the block's number.
    """
    found = (re.match(rf"{prefix}\.(\d+)\.", name) for name in names)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def declared_size(place: Path) -> tuple[int, int] | None:
    """Return the (height, width) in a config.json beside the weights; None if there is none."""
    size = read_config(place).get("image_size")
    return (size[0], size[1]) if isinstance(size, list) and len(size) == 2 else None


def infer_settings(tensors: Tensors, place: Path, origin: str) -> dict[str, Any]:
    """Infer the settings of backbone and head, in the form of a configuration's `model`, from the tensors.

    Args:
        tensors: Of the file, of any shape.
        place: Of the weights; a config.json beside it may have the input's size and the names of classes.
        origin: For messages.

    Raises:
        WeightsError: There is no head of a known task, or no vocabulary has this number of keypoints or classes.
    """
    task = find_task(tensors, origin)
    if is_sapiens1(tensors):
        return infer_v1(tensors, task, place, origin)
    four_k = any(name.startswith("backbone.tokenizer.") for name in tensors)
    image_size = list(declared_size(place) or (RELEASED_SIZE_4K if four_k else RELEASED_SIZE))
    backbone = {"size": backbone_size(tensors, origin), "image_size": image_size, "window_tokenizer": four_k}
    deconv = any(name.startswith("decode_head.deconv_layers.") for name in tensors)
    head: dict[str, Any] = {"decoder": "deconv" if deconv else "pixel_shuffle"}
    count = tensors[f"decode_head.conv_{task}.weight"].shape[0]
    if task == "pose":
        head["skeleton"] = choose(SKELETONS, count, "keypoints", origin)
    elif task == "seg":
        head["classes"] = find_classes(place, count, origin, released_classes(tensors))
    elif task == "pointmap":
        head |= {"image_size": image_size, "patch_size": PATCH * WINDOW if four_k else PATCH}
    return {
        "backbone": {"class_path": "sapiens2_lit.backbones.Sapiens2", "init_args": backbone},
        "heads": {task: {"class_path": TASKS[task].head, "init_args": head}},
    }


def infer_v1(tensors: Tensors, task: str, place: Path, origin: str) -> dict[str, Any]:
    """Do what `infer_settings` does for a task model of Sapiens v1.

    Args:
        tensors: Of the file, of any shape.
        task: Of its head.
        place: Of the weights.
        origin: For messages.

    Raises:
        WeightsError: As `infer_settings`; or the size is unknown, or the positions fit no known grid.
    """
    shape = shape_of(tensors, origin, BACKBONE)
    size, grid = known_size_name(shape.width, shape.depth, origin), grid_of(shape.positions)
    declared = declared_size(place)
    if declared is None and grid is None:
        raise WeightsError(
            f"{origin}: pos_embed: found positions of {shape.positions} patches, expected those of a square or of a "
            'grid of 4:3; write {"image_size": [HEIGHT, WIDTH]} into a config.json beside the file.'
        )
    image_size = list(declared or (side * PATCH for side in grid or ()))
    backbone = {
        "size": size,
        "image_size": image_size,
        "padding": padding_in(tensors, origin, place, BACKBONE),
        "class_token": shape.class_token,
    }
    prefix = "decode_head."
    own = {name.removeprefix(prefix): one.shape for name, one in tensors.items() if name.startswith(prefix)}
    head: dict[str, Any] = {"decoder": kind_of(task, own) or "auto"}
    if task == "pose":
        head["skeleton"] = choose(SKELETONS, shape.outputs, "keypoints", origin)
    elif task == "seg":
        head["classes"] = find_classes(place, shape.outputs, origin, released_classes(tensors))
    elif task == "depth":
        head |= {"relative": True, "linear": True}
    return {
        "backbone": {"class_path": "sapiens2_lit.backbones.Sapiens1", "init_args": backbone},
        "heads": {task: {"class_path": TASKS[task].head, "init_args": head}},
    }


def find_classes(place: Path, count: int, origin: str, shipped: Mapping[int, str]) -> str | Classes:
    """Return the classes of a file: a shipped vocabulary, or the names in config.json (`id2label`) if they differ.

    Args:
        place: Of the weights, beside which config.json may lie.
        count: Number of classes.
        origin: For messages.
        shipped: Vocabularies of released models, by number of classes.

    Raises:
        WeightsError: The classes are unknown, or a name occurs twice.
    """
    names = class_names(place, count)
    if names is None:
        return choose(shipped, count, "classes", origin)
    if count in shipped and plain(names) == plain(load_classes(shipped[count]).names):
        return shipped[count]
    try:
        return make_classes(names, f"{origin}: `id2label` of config.json")
    except SettingError as error:
        raise WeightsError(str(error)) from error


def plain(names: Iterable[str]) -> list[str]:
    """Return names in lower case, without spaces and punctuation."""
    return [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]


def choose(vocabularies: Mapping[int, str], count: int, what: str, origin: str) -> str:
    """Return the vocabulary with a number of entries.

    Args:
        vocabularies: By number of entries.
        count: Number of entries in the file.
        what: `keypoints` or `classes`, for messages.
        origin: For messages.

    Raises:
        WeightsError: There is none.
    """
    if count not in vocabularies:
        known = ", ".join(f"{number} ({name})" for number, name in vocabularies.items())
        raise WeightsError(
            f"{origin}: has {count} {what}, but not their names; expected one of {known}. Give the "
            "checkpoint (.ckpt) of the run that trained it"
            + (
                ", or write the names as `id2label` into a config.json beside it."
                if what == "classes"
                else "."
            )
        )
    return vocabularies[count]
