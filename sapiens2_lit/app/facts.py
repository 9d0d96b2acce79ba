"""Describe each model on the page: name, size, tasks, step."""

from html import escape
from pathlib import Path
from typing import Any

from sapiens2_lit.inference.predictor import Predictor
from sapiens2_lit.visualization.words import count

SHOWN = (".jpg", ".jpeg", ".png", ".webp")  # every browser shows them


def model_card(name: str, predictor: Predictor) -> str:
    """Return the facts of one model as HTML."""
    model = predictor.model
    height, width = model.image_size
    facts = {
        "size": f"{_backbone(predictor)}, {count(sum(one.numel() for one in model.parameters()))} parameters",
        "tasks": ", ".join(_task(head, part) for head, part in model.named_heads()),
        **({} if model.step is None else {"step": f"{model.step:,}"}),
        "input": f"{height} x {width} (height x width)",
        "runs on": str(model.device),
    }
    rows = "".join(f"<div><dt>{key}</dt><dd>{escape(text)}</dd></div>" for key, text in facts.items())
    return f'<section class="model-card"><h3>{escape(name)}</h3><dl>{rows}</dl></section>'


def example_files(predictor: Predictor, most: int = 6) -> list[Path]:
    """Return pictures of the model's training data, held-out ones if a split names them.

    Args:
        predictor: The model.
        most: Largest number of files.
    """
    chosen = predictor.model.config.get("data")
    settings: Any = chosen.get("init_args") if isinstance(chosen, dict) else None
    root = settings.get("root") if isinstance(settings, dict) else None
    folder = Path(root, "images") if isinstance(root, str) else None
    if folder is None or not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SHOWN)
    split = Path(root, "splits", "val.txt") if isinstance(root, str) else None
    if split is not None and split.is_file():
        held_out = set(split.read_text(encoding="utf-8").split())
        found = [path for path in found if path.stem in held_out] or found
    return found[-most:]


def _backbone(predictor: Predictor) -> str:
    chosen = predictor.model.config.get("model") or {}
    backbone = chosen.get("backbone") if isinstance(chosen, dict) else None
    settings = (backbone.get("init_args") if isinstance(backbone, dict) else None) or {}
    name = type(predictor.model.backbone).__name__
    return f"{name} {settings['size']}" if settings.get("size") else name


def _task(name: str, head: Any) -> str:
    if head.skeleton is not None:
        return f"{name} ({head.skeleton.num_keypoints} keypoints)"
    if head.classes is not None:
        return f"{name} ({head.classes.num_classes} classes)"
    more = [target for target in head.targets if target not in (name, "intrinsics")]
    return f"{name} ({', '.join(more)})" if more else name
