"""Find people with detectors of torchvision and transformers, wrapped to return boxes of people."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchvision.ops import nms as suppress_boxes

from sapiens2_lit.errors import SettingError
from sapiens2_lit.inference.detector_weights import (
    TORCHVISION,
    find_person,
    load_torchvision,
    load_transformers,
)

Boxes = npt.NDArray[np.float32]


class Detector(ABC):
    """A detector of people in one image; called as `detector(image)`.

    Args:
        threshold: Least score of a box.
        nms: If the intersection over union of two boxes is larger, only the better one is kept.

    Raises:
        SettingError: An argument is out of its range.
    """

    def __init__(self, threshold: float = 0.5, nms: float = 0.7) -> None:
        for name, value in (("threshold", threshold), ("nms", nms)):
            if not 0 <= value <= 1:
                raise SettingError(f"detector: {name} is {value}, expected 0 to 1")
        self.threshold = threshold
        self.nms = nms

    @property
    def input_side(self) -> int | None:
        """The longer side of the network's input, in pixels; None if it is not known."""
        return None

    def __call__(self, image: npt.NDArray[np.uint8]) -> Boxes:
        """Return the people in an image, best first.

        A box includes the outer borders of its pixels, and does not extend beyond the image.

        Args:
            image: RGB uint8 (H, W, 3).

        Returns:
            (N, 5) x, y, width, height in pixels, score; N may be 0.
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
        """Return candidates: boxes (N, 4) left, top, right, bottom in pixels, and scores (N,).

        Args:
            image: RGB uint8 (H, W, 3).
        """


class TorchvisionDetector(Detector):
    """A detector of torchvision, or a network with the same interface.

    Args:
        model: Called with a list of images (3, H, W) in 0..1; returns `boxes`, `labels` and `scores` for each.
        person: The label of people.
        device: Where it runs.
        threshold: As for `Detector`.
        nms: As for `Detector`.
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
        model: The model, whose `config.id2label` names its classes.
        processor: Its image processor.
        device: Where it runs.
        threshold: As for `Detector`.
        nms: As for `Detector`.

    Raises:
        SettingError: None of its classes means people.
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
    """Return a detector by its name, with its weights.

    Args:
        name: `torchvision/` and the name of a detector, such as `torchvision/fasterrcnn_resnet50_fpn_v2`; or the hub
            id or the folder of an object detector of `transformers`, such as `PekingU/rtdetr_r50vd`.
        device: Where it runs.
        threshold: Least score of a box.
        nms: If the intersection over union of two boxes is larger, only the better one is kept.
        weights: File with tensors of a torchvision detector (.pth, .safetensors); None for those of COCO, from the
            network or torch.hub's folder.

    Raises:
        SettingError: There is no such detector, `transformers` is not installed, or `weights` are given for one of its
            models.
        WeightsError: The weights cannot be loaded.
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
