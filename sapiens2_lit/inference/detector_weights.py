"""Load the networks of detectors with their weights, and find which of their labels means people."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import Tensor, nn

from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.errors import SettingError, WeightsError

PERSON_NAMES = ("person", "people", "human", "pedestrian")  # the first one that a detector has is used
TORCHVISION = "torchvision/"


def load_torchvision(name: str, weights: str | Path | None = None) -> tuple[nn.Module, int]:
    """Return a torchvision detector with its best weights, or those of a file, and its label of people.

    Raises:
        SettingError: torchvision has no such detector, or `load_file` raises it.
        WeightsError: The weights cannot be downloaded, or `load_file` raises it.
    """
    from torchvision.models import detection, get_model, get_model_weights, list_models

    if name not in (known := list_models(detection)):
        raise SettingError(f"--detector {TORCHVISION}{name}: torchvision has {', '.join(known)}")
    best = get_model_weights(name).DEFAULT
    person = find_person(dict(enumerate(best.meta["categories"])), name)
    if weights is not None:
        return load_file(name, Path(weights), dict(enumerate(best.meta["categories"])))
    try:
        model = get_model(name, weights=best)
    except (OSError, URLError, RuntimeError) as error:
        raise WeightsError(
            f"--detector {TORCHVISION}{name}: its weights cannot be loaded: {error}. Without a network, download "
            f"{best.url} elsewhere and give the file by --detector_weights FILE, or put it into the folder "
            "`checkpoints` of torch.hub.get_dir()."
        ) from error
    return model, person


def load_file(name: str, file: Path, names: Mapping[int, str]) -> tuple[nn.Module, int]:
    """Return a torchvision detector with the tensors of a file, and its label of people.

    A file with two classes, background and one other, is taken for a detector that was fine-tuned on people.

    Args:
        name: Of the detector.
        file: .pth or .safetensors.
        names: The detector's classes in torchvision.

    Raises:
        WeightsError: The file does not exist, or its tensors are not of this detector.
        SettingError: It has several other classes, whose names a file of tensors does not tell.
    """
    from torchvision.models import get_model

    option = f"--detector_weights {file}"
    if not file.is_file():
        raise WeightsError(
            f"{option}: no such file; expected tensors of torchvision's {name} (.pth, .safetensors)"
        )
    tensors = read_weights(file).tensors
    model = get_model(name, weights=None, weights_backbone=None, num_classes=len(names))
    person = find_person(names, name)
    if (found := num_classes(tensors, model.state_dict(), len(names))) != len(names):
        if found != 2:
            raise SettingError(
                f"{option}: has {found} classes; expected the {len(names)} of torchvision, or two: background, people"
            )
        model, person = get_model(name, weights=None, weights_backbone=None, num_classes=2), 1
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{option}: not weights of torchvision's {name}: {last_line(error)}") from error
    return model, person


def num_classes(tensors: Mapping[str, Tensor], usual: Mapping[str, Tensor], count: int) -> int:
    """Return a detector's number of classes, from the first tensor with another length than usual.

    Args:
        tensors: Of the file, of any shape.
        usual: Of the detector with `count` classes, by the same names and of the usual shapes.
        count: The usual number of classes.
    """
    for key, value in usual.items():
        found = tensors.get(key)
        if found is not None and found.shape != value.shape and found.shape[1:] == value.shape[1:]:
            return round(count * found.shape[0] / value.shape[0])
    return count


def load_transformers(name: str) -> tuple[Any, Any]:
    """Return a detector of `transformers`, and its image processor.

    Raises:
        SettingError: transformers is not installed, or the name is probably a mistyped word.
        WeightsError: The detector is not found.
    """
    if "/" not in name and not Path(name).exists() and (near := get_close_matches(name, ("self", "none"), 1)):
        raise SettingError(f"--detector {name}: no such folder; did you mean {near[0]}?")
    try:
        from transformers import AutoImageProcessor, AutoModelForObjectDetection
    except ImportError as error:
        raise SettingError(
            f"--detector {name} needs transformers: pip install 'sapiens2-lit[hf]'; or use one of torchvision, "
            f"such as {TORCHVISION}fasterrcnn_resnet50_fpn_v2"
        ) from error
    try:
        model = AutoModelForObjectDetection.from_pretrained(name)
        processor = AutoImageProcessor.from_pretrained(name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise WeightsError(
            f"--detector {name}: not found, or not an object detector of transformers: {first_line(error)}"
        ) from error
    return model, processor


def find_person(names: Mapping[int, str], detector: str) -> int:
    """Return the label whose name means people; the only label, if there is just one.

    Raises:
        SettingError: No label means people.
    """
    labels = {name.lower(): label for label, name in names.items()}
    for name in PERSON_NAMES:
        if name in labels:
            return labels[name]
    if len(names) == 1:
        return next(iter(names))
    shown: Sequence[str] = list(names.values())[:8]
    raise SettingError(
        f"--detector: {detector} finds {', '.join(shown)}{' ...' if len(names) > len(shown) else ''}, but no "
        f"{' or '.join(PERSON_NAMES)}"
    )


def last_line(error: BaseException) -> str:
    """Return the last line of an error's message."""
    return str(error).strip().rpartition("\n")[2].strip()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return str(error).strip().partition("\n")[0]
