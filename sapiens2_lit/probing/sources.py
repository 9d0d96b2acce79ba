"""What `--backbones` names, and the backbones themselves."""

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
        label: its row.
        name: what the user typed, or the class of a backbone given in Python.
        load: makes it, on the CPU, in evaluation mode, without gradients.
    """

    label: str
    name: str
    load: Load


def read_sources(
    backbones: Mapping[str, str | Backbone] | Sequence[str], image_size: tuple[int, int]
) -> list[Source]:
    """Return the backbones of a table, in their order.

    Args:
        backbones: sources as `SOURCE` or `label=SOURCE`, or by label sources and backbones themselves.
        image_size: (height, width) that they will see.

    Raises:
        SettingError: none, a label twice or one that the table needs itself, or a source that nothing is known of.
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
                f"backbones: the label {label!r} is that of a row which every table has; expected another, as in "
                "my-label=SOURCE"
            )
        if labels.count(label) > 1:
            raise SettingError(
                f"backbones: {label!r} is there {labels.count(label)} times; give each a label of its own, as in "
                f"first={label} second={label}"
            )
    return [Source(label, described(one), loader(one, image_size)) for label, one in pairs]


def split_label(text: str) -> tuple[str, str]:
    """Label and source of `label=SOURCE`; a source without a label is its own.

    The `=` of a path, as in `checkpoints/epoch=3.ckpt`, begins no source.
    """
    label, equals, source = text.partition("=")
    if not equals or not label or not source or "/" in label or Path(text).expanduser().exists():
        return text, text
    return label, source


def described(source: str | Backbone) -> str:
    return source if isinstance(source, str) else type(source).__name__


def loader(source: str | Backbone, image_size: tuple[int, int]) -> Load:
    """Return what makes a backbone; what can be known of the source without loading it is checked at once.

    Raises:
        SettingError: there is no such size, model, file or folder.
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
    """Return a randomly initialized backbone, of a size of Sapiens2 or of timm/NAME."""
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
    """Return a backbone of timm; `NAME:PATH` takes its weights from a file or folder.

    Raises:
        SettingError: timm is not installed, or has no such model.
    """
    from sapiens2_lit.backbones.timm import TimmBackbone

    name, _, weights = name.partition(":")
    source = (weights or "pretrained") if pretrained else None
    try:
        with torch.device("meta"):  # an unknown name is an error now
            TimmBackbone(name, fitting(image_size, 16), source)
    except SettingError as error:
        raise SettingError(f"backbones: {TIMM}{name}: {error}") from error
    return lambda: frozen(TimmBackbone(name, fitting(image_size, 16), source))


def find_place(source: str) -> str:
    """Return the checkpoint, file, folder or hub id that a source means.

    Raises:
        SettingError: it is none of them.
    """
    path = Path(source).expanduser()
    if path.is_dir() and (found := checkpoint_in(path)):
        return str(found)
    if path.exists():
        return str(path)
    if path.name in PATTERNS and (found := newest(path.parent, path.name)) is not None:
        return str(found)
    # an existing folder above it is no organization on the hub
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
        WeightsError: it is none, or its parts do not fit together.
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
    found = backbone_size(tensors, place)  # type: ignore[arg-type]  # shapes are all that is read
    size = BackboneSize(**found) if isinstance(found, dict) else found
    patch = 64 if four_k else 16
    return Sapiens2(size, fitting(image_size, patch), window_tokenizer=four_k, weights=place)


def load_v1(tensors: Mapping[str, Readable], place: str, image_size: tuple[int, int]) -> Backbone:
    """Return the backbone of a file of Sapiens v1, with the class token where it has one.

    Raises:
        WeightsError: its size has no name here.
    """
    prefix = "backbone." if any(name.startswith("backbone.") for name in tensors) else ""
    shape = shape_of(tensors, place, prefix)
    size = known_size_name(shape.width, shape.depth, place)
    return Sapiens1(size, fitting(image_size, 16), class_token=shape.class_token, weights=place)


def fitting(image_size: tuple[int, int], patch: int) -> tuple[int, int]:
    """The size itself, or where it is no multiple of the patch, the nearest that is: what is run is checked later."""
    height, width = (max(1, round(side / patch)) * patch for side in image_size)
    return height, width


def frozen(backbone: Backbone) -> Backbone:
    return backbone.cpu().eval().requires_grad_(False)


def reinitialized(backbone: Backbone) -> Backbone:
    """Return the same network with fresh weights, always the same ones."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(_SEED)
        backbone.init_weights()
    return frozen(backbone)


def random_row(first: Source, size: str | None, image_size: tuple[int, int]) -> Source:
    """Return the row `random`: a size of Sapiens2, or the network of the first backbone with fresh weights."""
    if size is not None:
        return Source("random", f"{RANDOM}{size}", random_loader(size, image_size))
    return Source("random", f"{first.label}, with fresh weights", lambda: reinitialized(first.load()))


def check_input(label: str, backbone: Backbone, size: tuple[int, int]) -> None:
    """Check that a backbone takes images of a size (height, width).

    Raises:
        SettingError: naming the sizes next to it that it takes.
    """
    try:
        check_image_size(size, backbone.patch_size)
    except SettingError as error:
        raise SettingError(f"data.image_size: {label}: {error}") from error
