"""Random weights in the folders that are released: tiny networks whose every part matters."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from sapiens2_lit import heads
from sapiens2_lit.backbones import BackboneSize, Sapiens2
from sapiens2_lit.export.plan import Options
from sapiens2_lit.export.transformers import write_transformers
from sapiens2_lit.export.transformers_config import backbone_config
from sapiens2_lit.inference.model import InferenceModel
from sapiens2_lit.inference.trained_view import STRETCHED
from sapiens2_lit.vocabularies.tasks import TASKS

SIZE = BackboneSize(32, 18, 4, 64, 1)  # two blocks with grouped queries
IMAGE = (64, 48)


def randomize(module: nn.Module) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def write_backbone(folder: Path, size: BackboneSize | str = SIZE) -> Path:
    """What a repository with a pretrained backbone holds."""
    backbone = Sapiens2(size, IMAGE)
    randomize(backbone)
    folder.mkdir(parents=True)
    save_file(backbone.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(backbone_config(backbone)))
    return folder


def write_task(folder: Path, task: str, **settings: Any) -> Path:
    """What a repository with a task model holds."""
    head = getattr(heads, TASKS[task].head.rpartition(".")[2])(SIZE.width, **settings)
    view = "stretch" if task in STRETCHED else "letterbox"
    model = InferenceModel(Sapiens2(SIZE, IMAGE), {task: head}, view=view)
    randomize(model)
    folder.mkdir(parents=True)
    write_transformers(model, folder, Options(check=False))
    return folder
