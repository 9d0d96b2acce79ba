"""The networks of detectors, with their weights, and which of their labels means people."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.error import URLError

from torch import Tensor, nn

from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.errors import SettingError, WeightsError

PERSON_NAMES = ("person", "people", "human", "pedestrian")  # the first that a detector knows
TORCHVISION = "torchvision/"


def load_torchvision(name: str, weights: str | Path | None = None) -> tuple[nn.Module, int]:
    """Return a detector of torchvision with its best weights, or those of a file, and its label of people."""
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
            f"--detector {TORCHVISION}{name}: its weights cannot be had: {error}. Without a network, fetch {best.url} "
            "elsewhere and give the file by --detector_weights FILE, or put it into the folder `checkpoints` of "
            "torch.hub.get_dir()."
        ) from error
    return model, person


def load_file(name: str, file: Path, names: Mapping[int, str]) -> tuple[nn.Module, int]:
    """Return a detector of torchvision with the tensors of a file, and its label of people.

    A file of two classes, the background and one other, is of a detector that was trained further, on people.

    Args:
        name: of the detector.
        file: .pth or .safetensors.
        names: of the classes that it has in torchvision.

    Raises:
        WeightsError: the file is not there, or its tensors are not of this detector.
        SettingError: it has several classes, whose names a file of tensors does not tell.
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
        raise WeightsError(f"{option}: no weights of torchvision's {name}: {last_line(error)}") from error
    return model, person


def num_classes(tensors: Mapping[str, Tensor], usual: Mapping[str, Tensor], count: int) -> int:
    """How many classes a detector's tensors are of, by the first that has another length than usual.

    Args:
        tensors: those of a file.
        usual: those of the detector with `count` classes.
    """
    for key, value in usual.items():
        found = tensors.get(key)
        if found is not None and found.shape != value.shape and found.shape[1:] == value.shape[1:]:
            return round(count * found.shape[0] / value.shape[0])
    return count


def load_transformers(name: str) -> tuple[Any, Any]:
    """Return a detector of `transformers`, and its image processor."""
    if "/" not in name and not Path(name).exists() and (near := get_close_matches(name, ("self", "none"), 1)):
        raise SettingError(f"--detector {name}: no such folder; did you mean {near[0]}?")
    try:
        from transformers import AutoImageProcessor, AutoModelForObjectDetection
    except ImportError as error:
        raise SettingError(
            f"--detector {name} is one of transformers: pip install 'sapiens2-lit[hf]'; or take one of torchvision, "
            f"such as {TORCHVISION}fasterrcnn_resnet50_fpn_v2"
        ) from error
    try:
        model = AutoModelForObjectDetection.from_pretrained(name)
        processor = AutoImageProcessor.from_pretrained(name)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise WeightsError(
            f"--detector {name}: not found, or no object detector of transformers: {first_line(error)}"
        ) from error
    return model, processor


def find_person(names: Mapping[int, str], detector: str) -> int:
    """Return the label whose name means people; the only one, if there is but one.

    Raises:
        SettingError: there is none.
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
    return str(error).strip().rpartition("\n")[2].strip()


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
