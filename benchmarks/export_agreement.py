"""How far exports put what they see from where `predict` puts it: pixels of the picture, per task, on three shapes.

    python benchmarks/export_agreement.py

Networks are small, of random values everywhere, and the same each time. Each goes the whole way in the other framework:
image processor, model and post-processing of transformers, or the program beside an ONNX file on onnxruntime.
"""

import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import onnxruntime
import torch

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.export import onnx, transformers
from sapiens2_lit.export.agreement import agreements, summary
from sapiens2_lit.export.plan import Options
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    Head,
    MattingHead,
    NormalHead,
    PointmapHead,
    PoseHead,
    SegmentationHead,
)
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.transforms.whole_image import ImageView

SIZE, POINTMAP_SIZE = (128, 96), (512, 384)  # transformers has scale branches of strides of 2 alone
STRETCHED = ("seg", "matting")
UNKNOWN = ("albedo", "depth")  # to transformers


def make_head(task: str, width: int) -> Head:
    if task == "pose":
        return PoseHead(width, "coco17")
    if task == "pointmap":
        return PointmapHead(width, image_size=POINTMAP_SIZE)
    kinds = {"seg": SegmentationHead, "normal": NormalHead, "albedo": AlbedoHead, "depth": DepthHead}
    return (kinds | {"matting": MattingHead})[task](width)


def make_model(task: str, view: ImageView) -> InferenceModel:
    """A small network whose parameters are all random, so that results depend on what the picture shows where."""
    torch.manual_seed(0)
    backbone = Sapiens2("test", POINTMAP_SIZE if task == "pointmap" else SIZE)
    head = make_head(task, backbone.embed_dim)
    with torch.no_grad():
        for parameter in (*backbone.parameters(), *head.parameters()):
            parameter.add_(0.05 * torch.randn_like(parameter))
    return InferenceModel(backbone, {task: head}, view=view)


def measure(task: str, form: str, view: ImageView, folder: Path) -> tuple[dict[str, float], float]:
    """Pixels by shape, and the limit above which an export fails."""
    model, options = make_model(task, view), Options(check=False)
    folder.mkdir()
    if form == "onnx":
        onnx.write_onnx(model, folder, options)
        session = onnxruntime.InferenceSession(folder / onnx.WEIGHTS)
        theirs = partial(onnx.their_results, session, dict(model.named_heads()))
        found = agreements(model, theirs, onnx.INPUT_PIXELS)
    else:
        transformers.write_transformers(model, folder, options)
        loaded = transformers.load(folder, task)
        theirs = partial(transformers.their_results, transformers.processor_of(folder), loaded, task, task)
        sharp = transformers.sharp_peaks(model.heads[task]) if task == "pose" else nullcontext()
        with transformers.float32_positions(model), sharp:
            found = agreements(model, theirs, transformers.INPUT_PIXELS)
    return dict(summary(found)), found[0].limit


def main() -> None:
    sys.stdout.write(
        "| task | view | format | landscape | portrait | square | limit |\n|---|---|---|---|---|---|---|\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        for task in ("pose", "seg", "normal", "pointmap", "matting", "albedo", "depth"):
            view: ImageView = "stretch" if task in STRETCHED else "letterbox"
            for form in ("transformers", "onnx"):
                if form == "transformers" and task in UNKNOWN:
                    continue
                pixels, limit = measure(task, form, view, Path(scratch) / f"{task}_{form}")
                row = " | ".join(f"{value:.2f}" for value in pixels.values())
                shown = "box" if task == "pose" else view
                sys.stdout.write(f"| {task} | {shown} | {form} | {row} | {limit:.1f} |\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
