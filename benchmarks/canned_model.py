"""A model whose heads answer with the labels of a synthetic person, after a network that only takes its time."""

import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sapiens2_lit.cli.main import main
from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.heads import NormalHead, PoseHead, SegmentationHead
from sapiens2_lit.heads.base import Head
from sapiens2_lit.inference.model import InferenceModel

SIZE = (1024, 768)
_HALF, _QUARTER = (512, 384), (256, 192)  # in which the released decoders answer
_MARGIN = 8.0  # of the logit of the right class; edges are as soft as a network's


class Sleeping(nn.Module):
    """A backbone that sleeps `seconds` for each picture; a GPU would leave the CPU alone, too."""

    patch_size = 16
    embed_dim = 8
    depth = 1
    mean = (123.675, 116.28, 103.53)
    std = (58.395, 57.12, 57.375)

    def __init__(self, seconds: float, size: tuple[int, int] = SIZE) -> None:
        super().__init__()
        self.seconds = seconds
        self.image_size = size
        self.blocks = nn.ModuleList()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> list[Tensor]:
        time.sleep(self.seconds * len(images))
        return [images.new_zeros(len(images), 1, 1, 1)]


def make_people(folder: Path, num: int = 1) -> Path:
    """Synthetic people of 1024 x 768 pixels, with their labels."""
    if main(["synth", str(folder), "--num", str(num), "--size", *map(str, SIZE), "--workers", "1"]):
        raise SystemExit("synth failed")
    return folder


def canned_model(
    people: Path, seconds: float, names: tuple[str, ...] = ("pose", "seg", "normal")
) -> InferenceModel:
    """Heads of 308 points, 29 classes and normals, whose raw outputs are those labels in the decoders' sizes."""
    heads: dict[str, Head] = {}
    for name in names:
        head, outputs = {"pose": _pose, "seg": _classes, "normal": _normals}[name](people)
        head.forward = lambda features, outputs=outputs: outputs.expand(len(features[-1]), -1, -1, -1)  # type: ignore[method-assign]
        heads[name] = head
    return InferenceModel(Sleeping(seconds), heads)  # type: ignore[arg-type]


def _pose(people: Path) -> tuple[Head, Tensor]:
    labels = json.loads((people / "annotations" / "train.json").read_text())
    points = torch.tensor(labels["annotations"][0]["keypoints"], dtype=torch.float32).reshape(1, -1, 3)
    heatmaps, _ = UDPHeatmapCodec(SIZE, _QUARTER, 6.0).encode(points)
    return PoseHead(8, "sociopticon308"), heatmaps


def _classes(people: Path) -> tuple[Head, Tensor]:
    labels = cv2.imread(str(next((people / "masks").glob("*.png"))), cv2.IMREAD_UNCHANGED)
    small = torch.from_numpy(np.where(labels == 255, 0, labels)[::2, ::2].astype(np.int64))
    logits = F.one_hot(small, 29).permute(2, 0, 1)[None].float() * _MARGIN
    return SegmentationHead(8), F.avg_pool2d(logits, 3, stride=1, padding=1)


def _normals(people: Path) -> tuple[Head, Tensor]:
    values = cv2.imread(str(next((people / "normals").glob("*.png"))), cv2.IMREAD_UNCHANGED)[::2, ::2, ::-1]
    normals = torch.from_numpy(values.astype(np.float32) / 65535 * 2 - 1).permute(2, 0, 1)[None]
    return NormalHead(8), normals
