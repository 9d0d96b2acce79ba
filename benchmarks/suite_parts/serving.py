"""End-to-end prediction, ONNX Runtime and start-up."""

import os
import resource
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from sapiens2_lit import load
from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.export.onnx import write_onnx
from sapiens2_lit.export.plan import Options
from sapiens2_lit.export.transformers import write_transformers
from sapiens2_lit.heads import SegmentationHead
from sapiens2_lit.inference.model import InferenceModel
from suite_parts.rows import Row, in_turns, peer

OURS = "import sapiens2_lit; sapiens2_lit.load({folder!r}, device='cpu', detector=None)"
THEIRS = "from transformers import Sapiens2ForSemanticSegmentation as S; S.from_pretrained({folder!r})"


def serving_rows(options: Namespace) -> Iterator[Row]:
    size = tuple(options.image_size)
    backbone = Sapiens2(options.size, size)
    model = InferenceModel(backbone, {"seg": SegmentationHead(backbone.embed_dim)}, view="stretch")
    with TemporaryDirectory() as place:
        folder = Path(place) / "transformers"
        folder.mkdir()
        write_transformers(model, folder, Options(check=False))
        yield prediction_row(options, folder)
        yield startup_row(options, folder)
        yield from onnx_rows(options, model, Path(place))


def prediction_row(options: Namespace, folder: Path) -> Row:
    from transformers import AutoImageProcessor, Sapiens2ForSemanticSegmentation

    predictor = load(folder, device="cpu", flip=False)
    processor, network = (
        kind.from_pretrained(folder) for kind in (AutoImageProcessor, Sapiens2ForSemanticSegmentation)
    )
    picture = np.random.default_rng(0).integers(0, 256, (1024, 768, 3), dtype=np.uint8)
    image = Image.fromarray(picture)

    def theirs() -> None:
        outputs = network(**processor(images=image, return_tensors="pt"))
        processor.post_process_semantic_segmentation(outputs, target_sizes=[picture.shape[:2]])

    with torch.inference_mode():
        seconds = in_turns(options.repeats, lambda: predictor.predict(picture), theirs)
    height, width = options.image_size
    work = f"classes of a picture of 1024 x 768, end to end, {options.size}, input {height} x {width}"
    return Row(work, peer("transformers"), *seconds, "CPU s")


def startup_row(options: Namespace, folder: Path) -> Row:
    codes = [code.format(folder=str(folder)) for code in (OURS, THEIRS)]
    seconds = []
    for code in codes:
        least = float("inf")
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", code], check=True, env=os.environ, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        seconds.append(least)
    work = f"start Python and load a {options.size} model of classes"
    return Row(work, peer("transformers"), seconds[0], seconds[1], "CPU s")


def onnx_rows(options: Namespace, model: InferenceModel, place: Path) -> Iterator[Row]:
    import onnxruntime

    session_options = onnxruntime.SessionOptions()
    session_options.intra_op_num_threads = options.threads
    session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    sessions, sizes = {}, {}
    for name, half in (("float32", False), ("fp16", True)):
        folder = place / name
        folder.mkdir()
        write_onnx(model, folder, Options(check=False, half=half))
        sizes[name] = (folder / "model.onnx").stat().st_size / 1e6
        sessions[name] = onnxruntime.InferenceSession(
            folder / "model.onnx", session_options, providers=["CPUExecutionProvider"]
        )
    images = torch.randint(0, 256, (1, 3, *options.image_size), dtype=torch.uint8)

    def ours() -> None:
        with torch.inference_mode():
            model(images)

    full, half, torch_ = in_turns(
        options.repeats,
        *(
            lambda session=session: session.run(None, {"image": images.numpy()})
            for session in sessions.values()
        ),
        ours,
    )
    what = f"network with classes, {options.size}, {options.image_size[0]} x {options.image_size[1]}"
    runtime = peer("onnxruntime")
    yield Row(f"{what}: torch against its ONNX file", runtime, torch_, full, "CPU s")
    yield Row(f"{what}: fp16 ONNX against float32", f"{runtime}, float32", half, full, "CPU s")
    yield Row(f"{what}: size of the fp16 file", "float32", sizes["fp16"], sizes["float32"], "MB")
