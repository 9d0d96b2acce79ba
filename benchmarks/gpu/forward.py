"""The backbone's forward pass against `transformers`, on the same random weights: time, memory, and equal outputs.

    python benchmarks/gpu/forward.py                     # 0.4b, 1b and 5b in bfloat16 and float32
    python benchmarks/gpu/forward.py --compile           # with our blocks compiled besides

Both run under autocast for bfloat16, in evaluation mode. `difference` is the largest of the last map, over its largest
value. Ratios are ours over theirs, of time and of peak memory above the weights: below 1 ours needs less.
"""

import gc
from argparse import Namespace
from collections.abc import Callable
from functools import partial

import torch
from measuring import head_row, median_time, parser, peak_of, prepare, row
from torch import Tensor, nn
from transformers import Sapiens2Backbone, Sapiens2Config

from sapiens2_lit.backbones import Sapiens2
from sapiens2_lit.checkpoints import to_transformers
from sapiens2_lit.parallel.blocks import compile_blocks

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def main(args: list[str] | None = None) -> None:
    options = parser(__doc__, size=("0.4b", "1b", "5b"))
    options.add_argument("--dtype", nargs="+", choices=DTYPES, default=list(DTYPES))
    options.add_argument("--compile", action="store_true", help="also with compiled blocks")
    found = options.parse_args(args)
    prepare(found)
    head_row(
        "size", "dtype", "ours", "images/s", "theirs, images/s", "time, ratio", "peak, ratio", "difference"
    )
    for size in found.size:
        compare(found, size)
        gc.collect()


@torch.inference_mode()
def compare(options: Namespace, size: str) -> None:
    torch.manual_seed(0)
    image_size = (options.image_size[0], options.image_size[1])
    ours = randomized(size, image_size, options.device)
    theirs = same_in_transformers(ours, options.device)
    images = torch.randn(options.batch, 3, *image_size, device=options.device)
    for name in options.dtype:
        their_map = run(lambda x: theirs(x).feature_maps[-1], images, name)
        their_time, their_peak = measure(lambda x: theirs(x).feature_maps[-1], images, name, options)
        for way in ("eager", "compiled") if options.compile else ("eager",):
            if way == "compiled" and name == options.dtype[0]:
                compile_blocks(ours.blocks)
            our_map = run(lambda x: ours(x)[-1], images, name)
            seconds, peak = measure(lambda x: ours(x)[-1], images, name, options)
            difference = float((our_map - their_map).abs().max() / their_map.abs().max())
            row(
                size, name, way, options.batch / seconds, options.batch / their_time,
                seconds / their_time, peak / their_peak, difference,
            )  # fmt: skip


def randomized(size: str, image_size: tuple[int, int], device: str) -> Sapiens2:
    """Weights that let every part of the network matter, LayerScale and norms too."""
    with torch.device(device):
        backbone = Sapiens2(size, image_size).eval()
    for parameter in backbone.parameters():
        parameter.add_(0.01 * torch.randn_like(parameter))
    return backbone


def same_in_transformers(ours: Sapiens2, device: str) -> nn.Module:
    size = ours.size
    config = Sapiens2Config(
        hidden_size=size.width,
        num_hidden_layers=size.depth,
        num_attention_heads=size.heads,
        num_key_value_attention_heads=max(1, size.heads // 2),
        intermediate_size=size.mlp_width,
        image_size=ours.image_size,
    )
    with torch.device(device):
        theirs = Sapiens2Backbone(config).eval()
    theirs.load_state_dict(
        to_transformers(ours.state_dict()), assign=True
    )  # the same memory, where layouts agree
    return theirs


def run(forward: Callable[[Tensor], Tensor], images: Tensor, dtype: str) -> Tensor:
    with torch.autocast(images.device.type, DTYPES[dtype], enabled=dtype != "float32"):
        return forward(images).float()


def measure(
    forward: Callable[[Tensor], Tensor], images: Tensor, dtype: str, options: Namespace
) -> tuple[float, int]:
    """Seconds, and the peak in bytes."""
    work = partial(run, forward, images, dtype)
    return median_time(work, options.steps, options.device), peak_of(work, options.device)


if __name__ == "__main__":
    main()
