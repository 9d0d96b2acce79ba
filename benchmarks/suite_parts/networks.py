"""Backbone and decoders against the same networks of `transformers` and timm."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from forward import randomized, same_in_transformers
from torch import Tensor, nn

from sapiens2_lit.backbones import Sapiens2, TimmBackbone
from sapiens2_lit.decoders import Decoding
from sapiens2_lit.export.transformers_config import CLASS_OF, config_json
from sapiens2_lit.heads import MattingHead, NormalHead, PointmapHead, PoseHead, SegmentationHead
from suite_parts.rows import Row, in_turns, peer

HEADS: dict[str, Callable[..., Any]] = {
    "pose": PoseHead,
    "seg": SegmentationHead,
    "normal": NormalHead,
    "matting": MattingHead,
    "pointmap": PointmapHead,
}
TIMM = "vit_small_patch16_dinov3"


def theirs_of(backbone: Sapiens2, head: Any, task: str, blocks: int | None = None) -> Any:
    """The model of `transformers` for a task, with fresh weights; with `blocks` that many alone."""
    import transformers

    config = config_json(backbone, head)
    config.pop("architectures")
    if blocks is not None:
        config |= {"num_hidden_layers": blocks}
        config["num_key_value_heads_per_layer"] = config["num_key_value_heads_per_layer"][:blocks]
    return getattr(transformers, CLASS_OF[task])(transformers.Sapiens2Config.from_dict(config))


def backbone_rows(options: Namespace) -> Iterator[Row]:
    size = tuple(options.image_size)
    with torch.no_grad():
        ours = randomized(options.size, size, "cpu")
        theirs = same_in_transformers(ours, "cpu")
    images = torch.randn(1, 3, *size)
    what = f"backbone {options.size}, {size[0]} x {size[1]}"
    with torch.no_grad():
        assert torch.allclose(ours(images)[-1], theirs(images).feature_maps[-1], atol=1e-4)
        seconds = in_turns(options.repeats, lambda: ours(images), lambda: theirs(images))
    yield Row(f"{what}, forward", peer("transformers"), *seconds, "CPU s")
    seconds = in_turns(
        options.repeats,
        lambda: step(ours, lambda: ours(images)[-1]),
        lambda: step(theirs, lambda: theirs(images).feature_maps[-1]),
    )
    yield Row(f"{what}, forward and backward", peer("transformers"), *seconds, "CPU s")
    yield from timm_rows(options, size)


def timm_rows(options: Namespace, size: tuple[int, int]) -> Iterator[Row]:
    import timm

    ours = TimmBackbone(TIMM, size).eval()
    theirs = timm.create_model(TIMM, pretrained=False, num_classes=0, img_size=size).eval()
    images = torch.randn(1, 3, *size)
    what = f"{TIMM}, {size[0]} x {size[1]}"
    with torch.no_grad():
        seconds = in_turns(options.repeats, lambda: ours(images), lambda: theirs.forward_features(images))
    yield Row(
        f"{what}, forward", peer("timm"), *seconds, "CPU s", "ours is timm's network behind our interface"
    )
    seconds = in_turns(
        options.repeats,
        lambda: step(ours, lambda: ours(images)[-1]),
        lambda: step(theirs, lambda: theirs.forward_features(images)),
    )
    yield Row(f"{what}, forward and backward", peer("timm"), *seconds, "CPU s")


def step(model: nn.Module, forward: Callable[[], Tensor]) -> None:
    model.zero_grad()
    forward().square().mean().backward()


def decoder_rows(options: Namespace) -> Iterator[Row]:
    """The released decoder as we run it, and the light one, against the released one of `transformers`."""
    size = tuple(options.decoder_size)
    backbone = Sapiens2(options.size, size)
    width, grid = backbone.embed_dim, (size[0] // 16, size[1] // 16)
    maps, images = torch.randn(1, width, *grid), torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    for task, make in HEADS.items():
        given = {"image_size": size} if task == "pointmap" else {}
        released, light = make(width, **given), make(width, decoder="light", **given)
        theirs = theirs_of(backbone, released, task, blocks=1).decode_head.eval()
        for passes in ("forward", "forward and backward"):
            work = [
                partial(decode, passes, lambda head=released: head([maps])),
                partial(decode, passes, lambda head=light: head([maps], images)),
                partial(decode, passes, lambda head=theirs: head(maps)),
            ]
            ours, lights, other = in_turns(options.repeats, *work)
            what = f"of {task}, {size[0]} x {size[1]}, {passes}"
            why = "made in parts, in half of the memory" if passes == "forward" and ours > other else ""
            yield Row(f"released decoder {what}", peer("transformers"), ours, other, "CPU s", why)
            yield Row(
                f"light decoder {what}", peer("transformers"), lights, other, "CPU s", "another network"
            )


def decode(passes: str, forward: Callable[[], Any]) -> None:
    if passes == "forward":
        with torch.no_grad():
            forward()
        return
    leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(forward()) if isinstance(leaf, Tensor)]
    torch.stack([leaf.square().mean() for leaf in leaves]).sum().backward()


def decoding_rows(options: Namespace) -> Iterator[Row]:
    """`model.decoding` against its defaults."""
    size = tuple(options.decoder_size)
    maps = torch.randn(1, 768, size[0] // 16, size[1] // 16)
    images = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8)
    for kind in ("pixel_shuffle", "light"):
        for name, decoding in (
            ("channels_last", Decoding(channels_last=True)),
            ("precision bf16", Decoding("bf16")),
        ):
            works = []
            for way in (decoding, Decoding()):
                head = NormalHead(768, decoder=kind)
                way.prepare([head])
                run = partial(way.run, head, [maps], *([images] if kind == "light" else []))
                works.append(partial(decode, "forward and backward", run))
            ours, plain = in_turns(options.repeats, *works)
            what = f"model.decoding {name}, {kind} decoder of normals, {size[0]} x {size[1]}, forward and backward"
            yield Row(
                what, "ours without", ours, plain, "CPU s", "meant for tensor cores" if ours > plain else ""
            )
