"""Compute embeddings of pictures: the mean of a backbone's last feature map."""

from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from sapiens2_lit.curation.picture import RGB
from sapiens2_lit.inference.model import find_device
from sapiens2_lit.probing.features import BackboneFeatures
from sapiens2_lit.probing.sources import check_input, read_sources

NAME = "embedding"


class Embedding:
    """A column `embedding`: the mean over all cells of the last, normalized feature map, of length 1, as float16.

    Args:
        source: As for `probe --backbones`: a hub id, a file, a run, timm/NAME, random:SIZE.
        image_size: (height, width) that pictures are stretched to.
        device: Where it runs.
        batch_size: Pictures at a time.

    Raises:
        SettingError, WeightsError: There is no such backbone, or it does not accept this size.
    """

    def __init__(self, source: str, image_size: tuple[int, int], device: str, batch_size: int) -> None:
        (found,) = read_sources([source], image_size)
        self.device, self.batch_size, self.image_size = find_device(device), batch_size, image_size
        backbone = found.load().to(self.device)
        check_input(found.label, backbone, image_size)
        self.features = BackboneFeatures(backbone, image_size, {})
        self.columns = {NAME: "embedding"}
        self.about = {"backbone": source, "image_size": list(image_size)}

    def __call__(self, images: list[RGB]) -> list[dict[str, Any]]:
        """Return a row for each picture."""
        rows: list[dict[str, Any]] = []
        height, width = self.image_size
        for start in range(0, len(images), self.batch_size):
            part = [
                cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
                for image in images[start : start + self.batch_size]
            ]
            pixels = torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).to(self.device)
            means = F.normalize(self.features(pixels).mean(dim=(2, 3)), dim=1).cpu().numpy()
            rows += [{NAME: mean.astype(np.float16)} for mean in means]
        return rows
