"""Files shaped as those of Sapiens v1, at tiny sizes, with random values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

WIDTH, DEPTH, HEADS = 32, 3, 2  # of the hidden size `test`
ROWS, COLUMNS = 4, 3  # of 64 x 48 pixels
DECONV = {"pose": (24, 24), "seg": (24,) * 3, "normal": (24,) * 3, "depth": (16,) * 4}
CONV = {"pose": (24, 24), "seg": (24,) * 3, "normal": (24,) * 3, "depth": (16,) * 2}
OUTPUTS = {"pose": 17, "seg": 28, "normal": 3, "depth": 1}


def draw(*shape: int, seed: int = 0, scale: float = 0.2) -> Tensor:
    """Normal values of a shape, the same every time."""
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def backbone(class_token: bool = False, grid: tuple[int, int] = (ROWS, COLUMNS)) -> dict[str, Tensor]:
    """Tensors of a backbone as released: a file of pretraining has a class token and positions of a square."""
    rows, columns = grid
    tensors = {"cls_token": draw(1, 1, WIDTH)} if class_token else {}
    tensors |= {
        "pos_embed": draw(1, rows * columns + class_token, WIDTH),
        "patch_embed.projection.weight": draw(WIDTH, 3, 16, 16, scale=0.05),
        "patch_embed.projection.bias": draw(WIDTH),
    }
    for block in range(DEPTH):
        for name, shape in (
            ("ln1.weight", (WIDTH,)),
            ("ln1.bias", (WIDTH,)),
            ("attn.qkv.weight", (3 * WIDTH, WIDTH)),
            ("attn.qkv.bias", (3 * WIDTH,)),
            ("attn.proj.weight", (WIDTH, WIDTH)),
            ("attn.proj.bias", (WIDTH,)),
            ("ln2.weight", (WIDTH,)),
            ("ln2.bias", (WIDTH,)),
            ("ffn.layers.0.0.weight", (4 * WIDTH, WIDTH)),
            ("ffn.layers.0.0.bias", (4 * WIDTH,)),
            ("ffn.layers.1.weight", (WIDTH, 4 * WIDTH)),
            ("ffn.layers.1.bias", (WIDTH,)),
        ):
            tensors[f"layers.{block}.{name}"] = draw(*shape, seed=100 * block + len(name))
    return tensors | {"ln1.weight": 1 + draw(WIDTH, seed=7), "ln1.bias": draw(WIDTH, seed=8)}


def head(task: str, outputs: int | None = None) -> dict[str, Tensor]:
    """Tensors of a head as released, with its prefix."""
    prefix, last = ("head.", "final_layer") if task == "pose" else ("decode_head.", "conv_seg")
    outputs, tensors, width = outputs or OUTPUTS[task], {}, WIDTH
    for place, channels in enumerate(DECONV[task]):
        tensors[f"{prefix}deconv_layers.{3 * place}.weight"] = draw(width, channels, 4, 4, seed=place)
        width = channels
    for place, channels in enumerate(CONV[task]):
        tensors[f"{prefix}conv_layers.{3 * place}.weight"] = draw(channels, width, 1, 1, seed=place)
        tensors[f"{prefix}conv_layers.{3 * place}.bias"] = draw(channels, seed=place)
        width = channels
    tensors[f"{prefix}{last}.weight"] = draw(outputs, width, 1, 1, seed=50)
    tensors[f"{prefix}{last}.bias"] = draw(outputs, seed=51)
    return tensors


def task_state(task: str, outputs: int | None = None) -> dict[str, Tensor]:
    """All tensors of a task file."""
    return {f"backbone.{name}": tensor for name, tensor in backbone().items()} | head(task, outputs)


def write_task(path: Path, task: str, outputs: int | None = None, **others: Any) -> Path:
    """Write a task file as mmengine does: `state_dict`, `meta`, and what else is given."""
    meta = {"epoch": 3, "iter": 4, "cfg": "model = dict()"}
    torch.save({"state_dict": task_state(task, outputs), "meta": meta, **others}, path)
    return path


def write_backbone(path: Path) -> Path:
    """Write a file of pretraining: with a class token, positions of a square."""
    torch.save({"state_dict": backbone(class_token=True, grid=(4, 4)), "meta": {}}, path)
    return path


def run_head(tensors: dict[str, Tensor], task: str, x: Tensor) -> Tensor:
    """The released formula of a head, from its own tensors, on a feature map (B, C, h, w)."""
    own = {name.partition(".")[2]: tensor for name, tensor in tensors.items() if "head." in name}
    functional = torch.nn.functional
    for place in range(len(DECONV[task])):
        x = functional.conv_transpose2d(x, own[f"deconv_layers.{3 * place}.weight"], stride=2, padding=1)
        x = functional.silu(functional.instance_norm(x))
    for place in range(len(CONV[task])):
        layer = f"conv_layers.{3 * place}"
        x = functional.conv2d(x, own[f"{layer}.weight"], own[f"{layer}.bias"])
        x = functional.silu(functional.instance_norm(x))
    last = "final_layer" if task == "pose" else "conv_seg"
    return functional.conv2d(x, own[f"{last}.weight"], own[f"{last}.bias"])


def positions(count: int, wanted: Sequence[int]) -> Tensor:
    """Positions of a square, without the class token's, at another grid, as released."""
    side = round(count**0.5)
    table = backbone(class_token=True, grid=(side, side))["pos_embed"][:, 1:]
    maps = table.transpose(1, 2).unflatten(2, (side, side))
    found = torch.nn.functional.interpolate(maps, tuple(wanted), mode="bicubic", align_corners=False)
    return found.flatten(2).transpose(1, 2)
