"""A folder that `transformers`' `Sapiens2For....from_pretrained` loads."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sapiens2_lit.errors import ExportError
from sapiens2_lit.export.folder import write_json
from sapiens2_lit.export.plan import Exported, Options
from sapiens2_lit.export.released import released_backbone, write_task_file
from sapiens2_lit.export.tasks import ANY_HEADS, cannot_hold, choose_head, task_of
from sapiens2_lit.export.transformers_config import CLASS_OF, config_json, preprocessor_json, why_not
from sapiens2_lit.export.verify import compare, random_images
from sapiens2_lit.heads.base import Batch, Head
from sapiens2_lit.inference.model import InferenceModel

WEIGHTS = "model.safetensors"
TOLERANCE = 1e-5
COMPUTED = "rope_embed.periods"  # in the released layout, and of no use to `transformers`


def write_transformers(model: InferenceModel, folder: Path, options: Options) -> Exported:
    """model.safetensors in the released layout, as `transformers` writes it too, and its two JSON files.

    Raises:
        SettingError: `transformers` has no such model.
        ExportError: the model that it loads answers something else, or it is not installed.
    """
    name, head = choose_head(dict(model.named_heads()), options.head, "transformers")
    backbone = released_backbone(model, "transformers")
    if why := why_not(backbone, head):
        instead = f"--format released, or {ANY_HEADS}" if task_of(head) else ANY_HEADS
        cannot_hold("transformers", name, head, why, instead)
    write_task_file(model, folder / WEIGHTS, name, head)
    write_json(folder / "config.json", config_json(backbone, head))
    write_json(folder / "preprocessor_config.json", preprocessor_json(backbone, head))
    task = task_of(head)
    assert task is not None
    facts = {"class": CLASS_OF[task]}
    checked = check(model, folder, name, head, task) if options.check else ""
    return Exported("transformers", {name: head}, WEIGHTS, facts, checked)


@torch.no_grad()
def check(model: InferenceModel, folder: Path, name: str, head: Head, task: str) -> str:
    """Load the folder as users will and compare outputs on random images.

    Raises:
        ExportError: they differ, a tensor was not loaded, or `transformers` is not installed.
    """
    theirs = load(folder, task)
    images = random_images(2, model.image_size)
    batch = {"image": images.to(model.device)}
    expected = in_float32_positions(model, head, batch)
    found = answers(theirs(model.normalize(images)), task)
    largest = compare(f"transformers ({name})", expected, found, TOLERANCE)
    return f"loaded by transformers, outputs equal within {largest:.1g}"


def load(folder: Path, task: str) -> nn.Module:
    """The `transformers` model of a folder, with every tensor from its file.

    Raises:
        ExportError: a tensor is missing or has no place, or `transformers` is not installed.
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


def in_float32_positions(model: InferenceModel, head: Head, batch: Batch) -> dict[str, Tensor]:
    """What our head answers, with positions in float32 as `transformers` computes them."""
    backbone: Any = model.backbone
    kept = backbone.rope_dtype
    backbone.rope_dtype = torch.float32
    try:
        outputs = head(backbone(model.normalize(batch["image"])))
    finally:
        backbone.rope_dtype = kept
    if isinstance(outputs, dict):
        return outputs
    if task_of(head) == "matting":
        return head.predict(outputs, batch)
    return {"field": outputs}


def answers(outputs: Any, task: str) -> dict[str, Tensor]:
    """What the `transformers` model answers, under our names."""
    if task == "pointmap":
        return {"pointmap": outputs.pointmaps, "scale": outputs.scales}
    if task == "matting":
        return {"alpha": outputs.alphas, "foreground": outputs.foregrounds}
    return {"field": getattr(outputs, {"pose": "heatmaps", "seg": "logits", "normal": "normals"}[task])}
