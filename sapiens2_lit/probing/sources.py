"""Find and load the backbones that `--backbones` names."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch

from sapiens2_lit.backbones.base import Backbone
from sapiens2_lit.backbones.sapiens1 import Sapiens1
from sapiens2_lit.backbones.sapiens1_sizes import known_size_name
from sapiens2_lit.backbones.sapiens2 import Sapiens2
from sapiens2_lit.backbones.sizes import SIZES, BackboneSize, check_image_size, find_size, size_names
from sapiens2_lit.checkpoints import read_meta
from sapiens2_lit.checkpoints.format import META_FILE
from sapiens2_lit.checkpoints.hub_ids import FILE_ENDINGS, is_hub_id
from sapiens2_lit.checkpoints.lazy_safetensors import Readable, open_weights
from sapiens2_lit.checkpoints.reader import PICKLES
from sapiens2_lit.checkpoints.runs import PATTERNS, checkpoint_in, newest
from sapiens2_lit.checkpoints.sapiens1_file import shape_of
from sapiens2_lit.checkpoints.sapiens1_names import is_sapiens1
from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.from_released import backbone_size
from sapiens2_lit.inference.model import load_model

RANDOM, TIMM = "random:", "timm/"
RESERVED = ("random", "pixels", "position", "permuted")  # rows that every table has
_SEED = 0  # of randomly initialized backbones

Load = Callable[[], Backbone]


@dataclass(frozen=True)
class Source:
    """One backbone of the table.

    Attributes:
        label: Of its row.
        name: As typed, or the class of a backbone given in Python.
        load: Makes the backbone, on the CPU, in evaluation mode, without gradients.
    """

    label: str
    name: str
    load: Load


def read_sources(
    backbones: Mapping[str, str | Backbone] | Sequence[str], image_size: tuple[int, int]
) -> list[Source]:
    """Return the backbones of a table, in order.

    Args:
        backbones: Sources as `SOURCE` or `label=SOURCE`, or a mapping from labels to sources and backbones.
        image_size: (height, width) that they will see.

    Raises:
        SettingError: There are none, a label occurs twice or is reserved, or a source is unknown.
    """
    if isinstance(backbones, Mapping):
        pairs: list[tuple[str, str | Backbone]] = list(backbones.items())
    else:
        pairs = [split_label(one) for one in backbones]
    if not pairs:
        raise SettingError("backbones: found none, expected one or more")
    labels = [label for label, _ in pairs]
    for label in labels:
        if label in RESERVED:
            raise SettingError(
                f"backbones: the label {label!r} is reserved for a row that every table has; expected another, as in "
                "my-label=SOURCE"
            )
        if labels.count(label) > 1:
            raise SettingError(
                f"backbones: {label!r} occurs {labels.count(label)} times; give each its own label, as in "
                f"first={label} second={label}"
            )
    return [Source(label, described(one), loader(one, image_size)) for label, one in pairs]


def split_label(text: str) -> tuple[str, str]:
    """Return label and source of `label=SOURCE`; a source without a label is its own label.

    The `=` in a path, such as `checkpoints/epoch=3.ckpt`, does not separate a label.
    """
    label, equals, source = text.partition("=")
    if not equals or not label or not source or "/" in label or Path(text).expanduser().exists():
        return text, text
    return label, source


def described(source: str | Backbone) -> str:
    """Return a source as it was typed, or the class of a backbone."""
    return source if isinstance(source, str) else type(source).__name__


def loader(source: str | Backbone, image_size: tuple[int, int]) -> Load:
    """Return a function that makes a backbone, after checking what can be known of the source without loading it.

    Raises:
        SettingError: There is no such size, model, file or folder.
    """
    if isinstance(source, Backbone):
        return lambda: frozen(deepcopy(source))
    if source.startswith(RANDOM):
        return random_loader(source.removeprefix(RANDOM), image_size)
    if source.startswith(TIMM) and not Path(source).exists():
        return timm_loader(source.removeprefix(TIMM), image_size)
    place = find_place(source)
    return lambda: frozen(load_backbone(place, image_size))


def random_loader(size: str, image_size: tuple[int, int]) -> Load:
    """Return a function that makes a randomly initialized backbone, of a size of Sapiens2 or of timm/NAME.

    Raises:
        SettingError: There is no such size or model.
    """
    if size.startswith(TIMM):
        inner = timm_loader(size.removeprefix(TIMM), image_size, pretrained=False)
        return lambda: reinitialized(inner())
    try:
        find_size(size)
    except SettingError as error:
        near = get_close_matches(size, size_names(hidden=True), 1)
        hint = f"; did you mean {RANDOM}{near[0]}?" if near else ""
        raise SettingError(
            f"backbones: found {RANDOM}{size}, expected {RANDOM} and one of {', '.join(SIZES)}{hint}"
        ) from error
    return lambda: reinitialized(Sapiens2(size, fitting(image_size, 16)))


def timm_loader(name: str, image_size: tuple[int, int], pretrained: bool = True) -> Load:
    """Return a function that makes a backbone of timm; `NAME:PATH` reads its weights from a file or folder.

    Args:
        name: Of the model.
        image_size: (height, width) that it will see.
        pretrained: Whether to load weights.

    Raises:
        SettingError: timm is not installed, or has no such model.
    """
    from sapiens2_lit.backbones.timm import TimmBackbone

    name, _, weights = name.partition(":")
    source = (weights or "pretrained") if pretrained else None
    try:
        with torch.device("meta"):  # raises now if the name is unknown
            TimmBackbone(name, fitting(image_size, 16), source)
    except SettingError as error:
        raise SettingError(f"backbones: {TIMM}{name}: {error}") from error
    return lambda: frozen(TimmBackbone(name, fitting(image_size, 16), source))


def find_place(source: str) -> str:
    """Return the checkpoint, file, folder or hub id that a source means.

    Raises:
        SettingError: It is none of them.
    """
    path = Path(source).expanduser()
    if path.is_dir() and (found := checkpoint_in(path)):
        return str(found)
    if path.exists():
        return str(path)
    if path.name in PATTERNS and (found := newest(path.parent, path.name)) is not None:
        return str(found)
    # a name below an existing folder is not a hub id
    if is_hub_id(source) and not path.parent.is_dir() and not source.endswith(FILE_ENDINGS):
        return source
    raise SettingError(
        f"backbones: {source}: no such file or folder; expected a hub id such as facebook/sapiens2-pretrain-0.4b, a "
        "file or folder of weights, a run, RUNS/best, RUNS/last, a checkpoint, timm/NAME, or random:SIZE, each also "
        "as label=SOURCE"
    )


def load_backbone(place: str, image_size: tuple[int, int]) -> Backbone:
    """Return the backbone of a checkpoint, a task model, or a file of pretrained weights.

    Raises:
        WeightsError: It has no backbone, or its parts do not fit together.
    """
    path = Path(place)
    if (path.is_file() and path.suffix in (*PICKLES, ".safetensors")) or (path / META_FILE).is_file():
        model = (read_meta(path).get("config") or {}).get("model") or {}
        if model.get("backbone") and model.get("heads"):
            return load_model(path).backbone
    tensors = open_weights(place).tensors
    if is_sapiens1(tensors):
        return load_v1(tensors, place, image_size)
    four_k = any(name.removeprefix("backbone.").startswith("tokenizer.") for name in tensors)
    found = backbone_size(tensors, place)  # type: ignore[arg-type]  # only shapes are read
    size = BackboneSize(**found) if isinstance(found, dict) else found
    patch = 64 if four_k else 16
    return Sapiens2(size, fitting(image_size, patch), window_tokenizer=four_k, weights=place)


def load_v1(tensors: Mapping[str, Readable], place: str, image_size: tuple[int, int]) -> Backbone:
    """Return the backbone of a file of Sapiens v1, with the class token if it has one.

    Args:
        tensors: Of the file, of any shape.
        place: The file.
        image_size: (height, width) that it will see.

    Raises:
        WeightsError: Its size is unknown.
    """
    prefix = "backbone." if any(name.startswith("backbone.") for name in tensors) else ""
    shape = shape_of(tensors, place, prefix)
    size = known_size_name(shape.width, shape.depth, place)
    return Sapiens1(size, fitting(image_size, 16), class_token=shape.class_token, weights=place)


def fitting(image_size: tuple[int, int], patch: int) -> tuple[int, int]:
    """Return the size, or the nearest multiple of the patch; the real input size is checked later."""
    height, width = (max(1, round(side / patch)) * patch for side in image_size)
    return height, width


def frozen(backbone: Backbone) -> Backbone:
    """Return the backbone on the CPU, in evaluation mode, without gradients."""
    return backbone.cpu().eval().requires_grad_(False)


def reinitialized(backbone: Backbone) -> Backbone:
    """Return the same network with random weights, always the same ones."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(_SEED)
        backbone.init_weights()
    return frozen(backbone)


def random_row(first: Source, size: str | None, image_size: tuple[int, int]) -> Source:
    """Return the row `random`: a size of Sapiens2, or the network of the first backbone with random weights.

    Args:
        first: The first backbone.
        size: Of Sapiens2, or None.
        image_size: (height, width) that it will see.
    """
    if size is not None:
        return Source("random", f"{RANDOM}{size}", random_loader(size, image_size))
    return Source("random", f"{first.label}, with fresh weights", lambda: reinitialized(first.load()))


def check_input(label: str, backbone: Backbone, size: tuple[int, int]) -> None:
    """Check that a backbone accepts images of a size.

    Args:
        label: Of its row.
        backbone: The network.
        size: (height, width).

    Raises:
        SettingError: Naming the nearest sizes that it accepts.
    """
    try:
        check_image_size(size, backbone.patch_size)
    except SettingError as error:
        raise SettingError(f"data.image_size: {label}: {error}") from error
