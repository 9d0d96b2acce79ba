"""What each head holds in memory while it trains: parameters, and what its forward pass keeps for the backward pass.

    python benchmarks/memory.py [--size 0.4b] [--image-size 1024 768]

Nothing is computed: tensors are fake ones of a GPU, with shapes, types and the operations that a GPU would run, so
that any size runs on any machine, without a GPU too. For bf16-mixed and 32-true it prints what the decoder and the loss
keep of one image, every storage once, without the backbone's feature map, and the copies of weights in bfloat16, which
do not grow with the batch. Temporaries of single operations come on top, mostly of the loss and of gradients.
"""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from sapiens2_lit.backbones.sizes import find_size
from sapiens2_lit.heads import (
    AlbedoHead,
    DepthHead,
    Head,
    LinearHead,
    MattingHead,
    NormalHead,
    PointmapHead,
    PoseHead,
    SegmentationHead,
)

HEADS: dict[str, Callable[..., Head]] = {
    "pose, 308 points": PoseHead,
    "segmentation, 29 classes": SegmentationHead,
    "normal": NormalHead,
    "pointmap": PointmapHead,
    "depth": DepthHead,
    "albedo": AlbedoHead,
    "matting": MattingHead,
    "linear probe, 29 classes": LinearHead,
}
TRAINED = 4 * 4  # bytes of a parameter: weight, gradient, and AdamW's two moments, in float32
PATCH = 16
DEVICE = "cuda"


def labels(batch: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """Every label that a head may learn from, of the types that the datamodules give."""
    height, width = size
    channels = {"normal": 3, "pointmap": 3, "depth": 1, "albedo": 3, "alpha": 1, "foreground": 3}
    fields = {key: torch.rand(batch, count, height, width) for key, count in channels.items()}
    return {
        **fields,
        "image": torch.zeros(batch, 3, height, width, dtype=torch.uint8),
        "valid": torch.ones(batch, 1, height, width, dtype=torch.bool),
        "segmentation": torch.zeros(batch, height, width, dtype=torch.int64),
        "intrinsics": torch.ones(batch, 3, 3),
        "keypoints": torch.ones(batch, 308, 3),
    }


class Kept:
    """Bytes of the storages that are kept for the backward pass, but for those of some tensors."""

    def __init__(self, known: list[Tensor]) -> None:
        self.bytes: dict[int, int] = {}
        self.alive: list[Any] = []  # a storage that is gone would lend its number to another
        self.known = {self.number(tensor) for tensor in known}

    def number(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        self.alive.append(storage)
        return int(storage._cdata)

    def pack(self, tensor: Tensor) -> Tensor:
        number = self.number(tensor)
        if number not in self.known:
            self.bytes[number] = tensor.untyped_storage().nbytes()
        return tensor

    def total(self) -> int:
        return sum(self.bytes.values())


@contextmanager
def autocast(enabled: bool) -> Iterator[None]:
    """torch.autocast, which would switch itself off on a machine without a GPU."""
    torch.set_autocast_dtype(DEVICE, torch.bfloat16)
    torch.set_autocast_enabled(DEVICE, enabled)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        torch.autocast_decrement_nesting()
        torch.clear_autocast_cache()
        torch.set_autocast_enabled(DEVICE, False)


def measure(
    make: Callable[..., Head], width: int, size: tuple[int, int], batch: int, mixed: bool
) -> tuple[int, int]:
    """Bytes that the decoder keeps, and bytes that the loss keeps besides."""
    with FakeTensorMode(), torch.device(DEVICE), autocast(mixed):
        sized = {"image_size": size} if make is PointmapHead else {}
        head = make(width, **sized)
        data = labels(batch, size)
        features = torch.rand(batch, width, size[0] // PATCH, size[1] // PATCH, requires_grad=True)
        known = [*head.parameters(), *head.buffers(), *data.values()]
        if mixed:  # as the backbone's last norm hands it on
            features = features.detach().bfloat16().requires_grad_()
        kept = Kept([*known, features])
        with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda tensor: tensor):
            outputs = head([features])
            decoder = kept.total()
            terms = head.loss(outputs, data)
        assert all(term.requires_grad for term in terms.values())
        return decoder, kept.total() - decoder


def per_image(
    make: Callable[..., Head], width: int, size: tuple[int, int], mixed: bool
) -> tuple[float, float, float]:
    """Megabytes that decoder and loss keep of one image more, and those of the decoder that do not grow."""
    two, three = (measure(make, width, size, batch, mixed) for batch in (2, 3))
    decoder, loss = three[0] - two[0], three[1] - two[1]
    return decoder / 1e6, loss / 1e6, (two[0] - 2 * decoder) / 1e6


def main() -> None:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="0.4b", help="of the backbone, whose width the decoders depend on")
    parser.add_argument("--image-size", type=int, nargs=2, default=(1024, 768), metavar=("HEIGHT", "WIDTH"))
    options = parser.parse_args()
    size = (options.image_size[0], options.image_size[1])
    width = find_size(options.size).width
    print(f"{options.size}, {size[0]} x {size[1]}; MB; decoder and loss: of one image\n")
    print(
        "| head | parameters | trained in fp32 | bf16 copies | decoder, bf16 | loss | decoder, fp32 | loss |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, make in HEADS.items():
        with torch.device("meta"):
            head = make(width, **({"image_size": size} if make is PointmapHead else {}))
        count = sum(parameter.numel() for parameter in head.parameters())
        decoder, loss, fixed = per_image(make, width, size, mixed=True)
        full, full_loss, _ = per_image(make, width, size, mixed=False)
        numbers = (count * TRAINED / 1e6, fixed, decoder, loss, full, full_loss)
        print(
            f"| {name} | {count / 1e6:.2f} M | {' | '.join(f'{number:.0f}' for number in numbers)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
