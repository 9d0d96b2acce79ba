"""Who is where: detectors of torchvision and transformers, made to answer with boxes of people."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchvision.ops import nms as suppress_boxes

from sapiens2_lit.checkpoints import read_weights
from sapiens2_lit.errors import SettingError, WeightsError

PERSON_NAMES = ("person", "people", "human", "pedestrian")  # the first that a detector knows
TORCHVISION = "torchvision/"

Boxes = npt.NDArray[np.float32]


class Detector(ABC):
    """Finds people in one image; called as `detector(image)`.

    Args:
        threshold: the least score of a box.
        nms: of two boxes whose intersection over union is larger, the better stays.

    Raises:
        SettingError: an argument is out of its range.
    """

    def __init__(self, threshold: float = 0.5, nms: float = 0.7) -> None:
        for name, value in (("threshold", threshold), ("nms", nms)):
            if not 0 <= value <= 1:
                raise SettingError(f"detector: {name} is {value}, expected 0 to 1")
        self.threshold = threshold
        self.nms = nms

    @property
    def input_side(self) -> int | None:
        """The longer side of what its network sees, in pixels; None where it is not known."""
        return None

    def __call__(self, image: npt.NDArray[np.uint8]) -> Boxes:
        """People in RGB uint8 (H, W, 3), the surest first: (N, 5) x, y, width, height in pixels, score; N may be 0.

        A box spans from border to border of its pixels, and no farther than the image.
        """
        corners, scores = self.find(image)
        height, width = image.shape[:2]
        corners = corners.float().cpu().clamp(min=0).minimum(torch.tensor([width, height] * 2))
        scores = scores.float().cpu()
        kept = (scores >= self.threshold) & (corners[:, 2:] > corners[:, :2]).all(dim=1)
        corners, scores = corners[kept], scores[kept]
        best = suppress_boxes(corners, scores, self.nms)
        sizes = corners[:, 2:] - corners[:, :2]
        return torch.cat([corners[:, :2], sizes, scores[:, None]], dim=1)[best].numpy()

    @abstractmethod
    def find(self, image: npt.NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Candidates: (N, 4) left, top, right, bottom in pixels, and scores (N,)."""


class TorchvisionDetector(Detector):
    """A detector of torchvision, or one that is called like them.

    Args:
        model: called with a list of images (3, H, W) in 0..1; answers, for each, `boxes`, `labels` and `scores`.
        person: the label of people.
        device: where it runs.
        threshold: as for `Detector`.
        nms: as for `Detector`.
    """

    def __init__(
        self,
        model: nn.Module,
        person: int,
        device: str | torch.device = "cpu",
        threshold: float = 0.5,
        nms: float = 0.7,
    ) -> None:
        super().__init__(threshold, nms)
        self.model = model.eval().requires_grad_(False).to(device)
        self.person = person
        self.device = torch.device(device)

    @property
    def input_side(self) -> int | None:
        transform = getattr(self.model, "transform", None)
        fixed = getattr(transform, "fixed_size", None)  # SSD's
        return max(fixed) if fixed else getattr(transform, "max_size", None)

    @torch.inference_mode()
    def find(self, image: npt.NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        (found,) = self.model([pixels.permute(2, 0, 1).float() / 255])
        people = found["labels"] == self.person
        return found["boxes"][people], found["scores"][people]


class TransformersDetector(Detector):
    """A model of `transformers`' `AutoModelForObjectDetection`: DETR, RT-DETR, D-FINE, YOLOS and others.

    Args:
        model: the model, whose `config.id2label` names its classes.
        processor: its image processor.
        device: where it runs.
        threshold: as for `Detector`.
        nms: as for `Detector`.

    Raises:
        SettingError: none of its classes is of people.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        device: str | torch.device = "cpu",
        threshold: float = 0.5,
        nms: float = 0.7,
    ) -> None:
        super().__init__(threshold, nms)
        self.model = model.eval().requires_grad_(False).to(device)
        self.processor = processor
        self.person = find_person(dict(model.config.id2label), type(model).__name__)
        self.device = torch.device(device)

    @property
    def input_side(self) -> int | None:
        size = dict(getattr(self.processor, "size", None) or {})
        sides = [value for value in size.values() if isinstance(value, int)]
        return max(sides, default=None)

    @torch.inference_mode()
    def find(self, image: npt.NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        inputs = self.processor(images=image, return_tensors="pt", input_data_format="channels_last")
        outputs = self.model(**inputs.to(self.device))
        (found,) = self.processor.post_process_object_detection(
            outputs, threshold=self.threshold, target_sizes=[image.shape[:2]]
        )
        people = found["labels"] == self.person
        return found["boxes"][people], found["scores"][people]


def build_detector(
    name: str,
    device: str | torch.device = "cpu",
    threshold: float = 0.5,
    nms: float = 0.7,
    weights: str | Path | None = None,
) -> Detector:
    """A detector by its name, with its weights.

    Args:
        name: `torchvision/` and one of its detectors, such as `torchvision/fasterrcnn_resnet50_fpn_v2`; else the hub id
            or the folder of an object detector of `transformers`, such as `PekingU/rtdetr_r50vd`.
        device: where it runs.
        threshold: the least score of a box.
        nms: of two boxes whose intersection over union is larger, the better stays.
        weights: of a detector of torchvision, a file of its tensors (.pth, .safetensors); those of COCO, from the
            network or torch.hub's folder, where absent.

    Raises:
        SettingError: no such detector, `transformers` is not installed, or `weights` are given for one of its models.
        WeightsError: its weights cannot be had.
    """
    if name.startswith(TORCHVISION):
        model, person = load_torchvision(name.removeprefix(TORCHVISION), weights)
        return TorchvisionDetector(model, person, device, threshold, nms)
    if weights is not None:
        raise SettingError(
            f"--detector_weights {weights}: only for detectors of torchvision ({TORCHVISION}NAME); one of transformers "
            "is given by its folder, with its weights, as --detector FOLDER"
        )
    model, processor = load_transformers(name)
    return TransformersDetector(model, processor, device, threshold, nms)


def load_torchvision(name: str, weights: str | Path | None = None) -> tuple[nn.Module, int]:
    """A detector of torchvision with its best weights, or those of a file, and its label of people."""
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
    """A detector of torchvision with the tensors of a file, and its label of people.

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
    """A detector of `transformers`, and its image processor."""
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
    """The label whose name means people; the only one, if there is but one.

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
