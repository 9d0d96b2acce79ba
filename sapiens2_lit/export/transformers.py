"""Write a folder that `transformers`' `Sapiens2For....from_pretrained` loads."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sapiens2_lit.errors import ExportError
from sapiens2_lit.export.agreement import RGB, Box, Maps, check_agreement
from sapiens2_lit.export.folder import write_json
from sapiens2_lit.export.plan import Exported, Options
from sapiens2_lit.export.released import released_backbone, write_task_file
from sapiens2_lit.export.tasks import ANY_HEADS, cannot_hold, choose_head, task_of
from sapiens2_lit.export.transformers_config import CLASS_OF, config_json, preprocessor_json, why_not
from sapiens2_lit.export.verify import compare, random_images
from sapiens2_lit.heads.base import Batch, Head, run_head
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.trained_view import STRETCHED

WEIGHTS = "model.safetensors"
TOLERANCE = 1e-5
INPUT_PIXELS = (
    2.0  # allowed distance between results of both pipelines: its image processor pads and cuts whole pixels
)
PEAK_SIGMA = 2.0  # pixels of a heatmap
COMPUTED = "rope_embed.periods"  # in the released layout, and of no use to `transformers`


def write_transformers(model: InferenceModel, folder: Path, options: Options) -> Exported:
    """Write model.safetensors in the released layout, which `transformers` uses, too, and its two JSON files.

    Args:
        model: The original.
        folder: To write to.
        options: Of the export.

    Raises:
        SettingError: `transformers` has no such model.
        ExportError: The loaded model computes something else, or `transformers` is not installed.
    """
    name, head = choose_head(dict(model.named_heads()), options.head, "transformers")
    backbone = released_backbone(model, "transformers")
    if why := why_not(backbone, head):
        instead = f"--format released, or {ANY_HEADS}" if task_of(head) else ANY_HEADS
        cannot_hold("transformers", name, head, why, instead)
    write_task_file(model, folder / WEIGHTS, name, head, options.notice)
    write_json(folder / "config.json", config_json(backbone, head))
    write_json(folder / "preprocessor_config.json", preprocessor_json(backbone, head, model.view))
    task = task_of(head)
    assert task is not None
    facts = {"class": CLASS_OF[task]}
    checked = check(model, folder, name, head, task) if options.check else ""
    return Exported("transformers", {name: head}, WEIGHTS, facts, checked)


@torch.no_grad()
def check(model: InferenceModel, folder: Path, name: str, head: Head, task: str) -> str:
    """Load the folder as users will, and compare outputs on random images; return a line.

    Args:
        model: The original.
        folder: Of the export.
        name: Of the head.
        head: The head.
        task: Of the head.

    Raises:
        ExportError: They differ, a tensor was not loaded, or `transformers` is not installed.
    """
    form = f"transformers ({name})"
    check_view(model, form, task)
    theirs = load(folder, task)
    images = random_images(2, model.image_size)
    batch = {"image": images.to(model.device)}
    with float32_positions(model):
        expected = raw_outputs(model, head, batch)
        found = answers(theirs(model.normalize(images)), task)
        largest = compare(form, expected, found, TOLERANCE)
        whole_way = partial(their_results, processor_of(folder), theirs, name, task)
        with sharp_peaks(head) if task == "pose" else nullcontext():
            agreed = check_agreement(form, model, whole_way, INPUT_PIXELS)
    return f"loaded by transformers, outputs equal within {largest:.1g}; {agreed}"


def check_view(model: InferenceModel, form: str, task: str) -> None:
    """Check that `transformers` can place results where they belong.

    Args:
        model: The original.
        form: Name of the format, for messages.
        task: Of the head.

    Raises:
        ExportError: It cannot, since it does not remove the padding for this task.
    """
    if task in STRETCHED and model.view != "stretch":
        raise ExportError(
            f"{form}: results would lie elsewhere than those of `predict`: the model is letterboxed, but "
            "post-processing in `transformers` does not cut the padding off for this task. Train with --data.view "
            "stretch, or use --format released or onnx; --check false writes the export nevertheless."
        )


def load(folder: Path, task: str) -> nn.Module:
    """Return the `transformers` model of a folder, with every tensor from its file.

    Raises:
        ExportError: A tensor is missing or has no place, or `transformers` is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise ExportError(
            "--format transformers is checked by transformers, which is not installed: pip install "
            "'sapiens2-lit[hf]', or --check false"
        ) from error
    transformers.utils.logging.disable_progress_bar()
    kind = getattr(transformers, CLASS_OF[task])
    network, report = kind.from_pretrained(folder, output_loading_info=True)
    wrong = {key: sorted(names) for key, names in report.items() if key != "error_msgs" and names}
    unexpected = [entry for entry in wrong.pop("unexpected_keys", []) if COMPUTED not in str(entry)]
    if wrong or unexpected:
        raise ExportError(f"transformers did not take the weights as they are: {wrong} {unexpected}")
    return network.eval()


def processor_of(folder: Path) -> Any:
    """Return the image processor that `transformers` makes of a folder."""
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(folder)


@torch.no_grad()
def their_results(processor: Any, network: Any, name: str, task: str, picture: RGB, box: Box) -> Maps:
    """Run the whole pipeline of `transformers` on a picture, as documented: processor, network, postprocessing.

    Args:
        processor: Of images.
        network: The loaded model.
        name: Of the head.
        task: Of the head.
        picture: RGB uint8 (H, W, 3).
        box: (5,) x, y, width, height and score of a person.
    """
    image, size = Image.fromarray(picture), [picture.shape[:2]]
    if task == "pose":
        boxes = [[[float(value) for value in box[:4]]]]
        outputs = network(**processor(images=image, boxes=boxes, return_tensors="pt"))
        outputs.heatmaps = sharpened(outputs.heatmaps)
        ((person,),) = processor.post_process_pose_estimation(outputs, boxes=boxes)
        return {f"{name}.keypoints": person["keypoints"].numpy()}
    outputs = network(**processor(images=image, return_tensors="pt"))
    if task == "seg":
        (classes,) = processor.post_process_semantic_segmentation(outputs, target_sizes=size)
        return {f"{name}.segmentation": classes.numpy()}
    if task == "matting":
        (matte,) = processor.post_process_image_matting(outputs, target_sizes=size)
        return {f"{name}.alpha": channels_last(matte["alpha"])}
    if task == "normal":
        (found,) = processor.post_process_normal_estimation(outputs, source_sizes=size)
        return {f"{name}.normal": channels_last(found["normals"])}
    (found,) = processor.post_process_pointmap_estimation(outputs, source_sizes=size)
    return {f"{name}.pointmap": channels_last(found["pointmap"])}


def channels_last(values: Tensor) -> Any:
    """Return a map (C, H, W) or (H, W) as an array (H, W, C)."""
    return np.moveaxis(values.reshape(-1, *values.shape[-2:]).numpy(), 0, 2)


@contextmanager
def sharp_peaks(head: Head) -> Iterator[None]:
    """Within this block, let a pose head return `sharpened` heatmaps."""
    hook = head.register_forward_hook(lambda _module, _inputs, heatmaps: sharpened(heatmaps))
    try:
        yield
    finally:
        hook.remove()


def sharpened(heatmaps: Tensor) -> Tensor:
    """Replace each heatmap of (B, K, H, W) by one Gaussian at its maximum.

    Both frameworks refine peaks to parts of a pixel by their own formulas, which agree on the peaks of a trained model
    but not on the rough maps of an untrained one.
    """
    height, width = heatmaps.shape[-2:]
    greatest = heatmaps.flatten(2).argmax(-1)[..., None, None]
    rows = torch.arange(height, device=heatmaps.device)[:, None] - greatest // width
    columns = torch.arange(width, device=heatmaps.device) - greatest % width
    return torch.exp(-(rows**2 + columns**2) / (2 * PEAK_SIGMA**2)).to(heatmaps.dtype)


@contextmanager
def float32_positions(model: InferenceModel) -> Iterator[None]:
    """Compute positions in float32 within this block, as `transformers` does."""
    backbone: Any = model.backbone
    kept = backbone.rope_dtype
    backbone.rope_dtype = torch.float32
    try:
        yield
    finally:
        backbone.rope_dtype = kept


def raw_outputs(model: InferenceModel, head: Head, batch: Batch) -> dict[str, Tensor]:
    """Return the raw outputs of the original head, under the names of `answers`.

    Args:
        model: The original.
        head: The head.
        batch: With `image` (B, 3, H, W).
    """
    outputs = run_head(head, model.backbone(model.normalize(batch["image"])), batch["image"])
    if isinstance(outputs, dict):
        return outputs
    if task_of(head) == "matting":
        return head.predict(outputs, batch)
    return {"field": outputs}


def answers(outputs: Any, task: str) -> dict[str, Tensor]:
    """Return the outputs of the `transformers` model, under this package's names."""
    if task == "pointmap":
        return {"pointmap": outputs.pointmaps, "scale": outputs.scales}
    if task == "matting":
        return {"alpha": outputs.alphas, "foreground": outputs.foregrounds}
    return {"field": getattr(outputs, {"pose": "heatmaps", "seg": "logits", "normal": "normals"}[task])}
