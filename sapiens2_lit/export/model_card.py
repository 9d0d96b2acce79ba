"""Write the model card: README.md with the metadata that the Hugging Face hub reads."""

from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from sapiens2_lit.backbones import Sapiens1, Sapiens2
from sapiens2_lit.backbones.licences import ON_HUB, SAPIENS2, derived
from sapiens2_lit.export.configuration import without_places
from sapiens2_lit.export.plan import Exported
from sapiens2_lit.export.provenance import Provenance, called
from sapiens2_lit.export.tasks import task_of
from sapiens2_lit.export.training_run import TrainingRun
from sapiens2_lit.export.usage_snippet import usage
from sapiens2_lit.heads.base import Head
from sapiens2_lit.heads.segmentation import SegmentationHeadBase
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.vocabularies.tasks import TASKS

LIBRARIES = {
    "transformers": "transformers",
    "onnx": "onnx",
    "torch-export": "pytorch",
    "released": "sapiens2-lit",
}
SHOWN = {
    "letterbox": "whole images scaled with their aspect kept and centered on black",
    "stretch": "whole images stretched to that size",
}


def write_card(
    name: str, model: InferenceModel, exported: Exported, source: Provenance, run: TrainingRun
) -> ModelCard:
    """Return the model card of an export: task, data, metrics and configuration, as far as the checkpoint tells.

    Args:
        name: Of the export.
        model: The original.
        exported: What was written.
        source: Where the weights come from.
        run: The training.

    Raises:
        ValueError: The hub's client does not accept the metadata.
    """
    data = metadata(name, exported, source, run, model)
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {name}",
        introduction(model, exported, source, run),
        "## Heads\n" + "\n".join(describe(head, key) for key, head in exported.heads.items()),
        "## Use\n" + usage(name, exported),
        training(model, run),
        measured(run),
        licence(source),
        configuration(model),
    ]
    return ModelCard("\n\n".join(part for part in parts if part) + "\n")


def metadata(
    name: str, exported: Exported, source: Provenance, run: TrainingRun, model: InferenceModel
) -> ModelCardData:
    """Return the metadata at the top of the card.

    Args:
        name: Of the export.
        exported: What was written.
        source: Where the weights come from.
        run: The training.
        model: The original.
    """
    tasks = [task for head in exported.heads.values() if (task := task_of(head) or task_of_class(head))]
    dataset = data_name(model)
    results = [
        EvalResult(
            task_type=TASKS[tasks[0]].pipeline if tasks else "other",
            dataset_type=dataset,
            dataset_name=f"{dataset} (validation)",
            metric_type=metric.removeprefix("val/"),
            metric_value=round(value, 6),
        )
        for metric, value in run.metrics.items()
    ]
    families = {Sapiens2: "sapiens2", Sapiens1: "sapiens"}
    family = [name for kind, name in families.items() if isinstance(model.backbone, kind)]
    return ModelCardData(
        **licence_fields(source.licence),
        library_name=LIBRARIES[exported.form],
        pipeline_tag=TASKS[tasks[0]].pipeline if len(set(tasks)) == 1 else None,
        base_model=source.hub_id,
        tags=[*family, "sapiens2-lit", exported.form, *dict.fromkeys(tasks)],
        model_name=name if results else None,
        eval_results=results or None,
    )


def task_of_class(head: Head) -> str | None:
    """Return the task of a custom segmentation head; None for others."""
    return "seg" if isinstance(head, SegmentationHeadBase) else None


def introduction(model: InferenceModel, exported: Exported, source: Provenance, run: TrainingRun) -> str:
    """Return the first paragraph: backbone, origin, input, and the check.

    Args:
        model: The original.
        exported: What was written.
        source: Where the weights come from.
        run: The training.
    """
    backbone = model.backbone
    height, width = model.image_size
    origin = f"derived from {source.base}" if source.base else "trained from random values"
    made = "trained and exported" if model.config else "exported"
    check = f" Checked on export: {exported.checked}." if exported.checked else " Not checked on export."
    return (
        f"{called(backbone)}, {origin}, {made} (`--format {exported.form}`) by sapiens2-lit. "
        f"Input: RGB, {height} x {width} (height x width), {SHOWN[model.view]}; "
        f"normalized inside by mean {channels(backbone.mean)} and deviation {channels(backbone.std)} of 0..255."
        + "".join(f" The {note}." for note in run.notes)
        + check
    )


def describe(head: Head, name: str) -> str:
    """Return one line on a head, with its vocabulary."""
    task = task_of(head) or task_of_class(head)
    text = f"- `{name}` ({type(head).__name__}): {TASKS[task].meaning if task else 'a head of its own kind'}"
    named = [("keypoints", head.skeleton.name, head.skeleton.keypoints)] if head.skeleton else []
    named += [("classes", head.classes.name, head.classes.names)] if head.classes else []
    for noun, vocabulary, names in named:
        listed = f": {', '.join(names)}" if len(names) <= 40 else ""
        text += f"; {len(names)} {noun} ({vocabulary}){listed}"
    if head.relative:
        text += "; relative: 0 nearest, 1 farthest"
    return text


def data_name(model: InferenceModel) -> str:
    """Return a name for the training data: that of its folder."""
    root = ((model.config.get("data") or {}).get("init_args") or {}).get("root")
    return str(without_places(str(root))) if root else "unknown"


def training(model: InferenceModel, run: TrainingRun) -> str:
    """Return the section on data and steps; empty if the configuration does not tell."""
    data = model.config.get("data") or {}
    if not data.get("class_path"):
        return ""
    given = {key: value for key, value in (data.get("init_args") or {}).items() if value is not None}
    steps = f"{run.step} optimizer steps. " if run.step is not None else ""
    settings = yaml.safe_dump(without_places(given), sort_keys=False, allow_unicode=True)
    return f"## Training\n{steps}Data: `{data.get('class_path')}` with\n\n```yaml\n{settings}```"


def measured(run: TrainingRun) -> str:
    """Return the validation metrics as a table."""
    if not run.metrics:
        return ""
    rows = "\n".join(
        f"| {name.removeprefix('val/')} | {value:.4g} |" for name, value in sorted(run.metrics.items())
    )
    return (
        f"## Metrics\nOn the validation data, as logged at step {run.step} or last before it.\n\n"
        f"| metric | value |\n|---|---|\n{rows}"
    )


def licence(source: Provenance) -> str:
    """Return the section on the license."""
    if source.base is None:
        return "## Licence\nSee [LICENSE](LICENSE): none was chosen yet."
    if source.licence == SAPIENS2:
        return (
            "## Licence\nThe weights are derived from Meta's Sapiens2 weights and are distributed under the Sapiens2 "
            "License, of which a copy must accompany them: see [LICENSE](LICENSE)."
        )
    return f"## Licence\n{derived(source.base, source.licence)} See [LICENSE](LICENSE)."


def licence_fields(licence: str | None) -> dict[str, Any]:
    """Return the license in the form of the hub's metadata."""
    if licence is None:
        return {"license": "unknown"}
    if licence in ON_HUB:
        return {"license": licence}
    return {"license": "other", "license_name": licence, "license_link": "LICENSE"}


def channels(values: tuple[float, float, float]) -> str:
    """Return three values as text."""
    return ", ".join(f"{value:g}" for value in values)


def configuration(model: InferenceModel) -> str:
    """Return the run's whole configuration, folded."""
    if not model.config:
        return ""
    text = yaml.safe_dump(without_places(model.config), sort_keys=False, allow_unicode=True)
    return f"## Configuration\n<details><summary>of the run</summary>\n\n```yaml\n{text}```\n\n</details>"
