"""Whole training steps against `transformers`' own training of the same model: time, and peak memory."""

import multiprocessing as mp
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from suite_parts.rows import Row, peer

BATCH = 2
TASKS = {
    "pose": "",
    "seg": "ours has the released recipe's Dice loss besides cross-entropy",
}


def training_rows(options: Namespace) -> Iterator[Row]:
    size = tuple(options.image_size)
    for task, why in TASKS.items():
        (ours, our_peak), (theirs, their_peak) = measure(task, options)
        what = f"training step of {task}, {options.size}, {size[0]} x {size[1]}, {BATCH} images, AdamW"
        yield Row(what, peer("transformers"), ours, theirs, "CPU s", why)
        yield Row(
            f"{what}, peak over weights, gradients and AdamW",
            peer("transformers"),
            our_peak,
            their_peak,
            "GB",
            why,
        )


def measure(task: str, options: Namespace) -> list[tuple[float, float]]:
    """CPU seconds of a step and peak GB, of each side in a process of its own, in turns."""
    context, pipes, processes = mp.get_context("forkserver"), [], []
    context.set_forkserver_preload(["sapiens2_lit.heads", "suite_parts.networks"])  # imported once for all
    for side in ("ours", "theirs"):
        here, there = context.Pipe()
        processes.append(context.Process(target=serve, args=(side, task, options, there)))
        processes[-1].start()
        there.close()  # so that its end is known here
        pipes.append(here)
    seconds: list[list[float]] = [[], []]
    for _ in range(options.repeats + 1):
        for pipe, found in zip(pipes, seconds, strict=True):
            pipe.send(True)
            found.append(pipe.recv())
    results = []
    for pipe, process, found in zip(pipes, processes, seconds, strict=True):
        pipe.send(False)
        results.append((min(found[1:]), pipe.recv()))
        process.join()
    return results


def serve(side: str, task: str, options: Namespace, pipe: Connection) -> None:
    import torch

    torch.set_num_threads(options.threads)
    forward, parameters = (ours if side == "ours" else theirs)(task, options)
    optimizer = torch.optim.AdamW(parameters, lr=1e-5)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of building both networks
    before = kilobytes("VmRSS")
    while pipe.recv():
        start = time.process_time()
        optimizer.zero_grad(set_to_none=False)
        forward().backward()
        optimizer.step()
        pipe.send(time.process_time() - start)
    pipe.send((kilobytes("VmHWM") - before) / 1e6)


def kilobytes(field: str) -> int:
    """What Linux says of this process: VmRSS in memory now, VmHWM the peak."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0])


def ours(task: str, options: Namespace) -> tuple[Callable, list]:
    """From bytes and keypoints, or class maps, to the loss."""
    import torch

    from sapiens2_lit.backbones import Sapiens2
    from sapiens2_lit.heads import PoseHead, SegmentationHead
    from sapiens2_lit.models.network import Network

    backbone = Sapiens2(options.size, tuple(options.image_size))
    head = (PoseHead if task == "pose" else SegmentationHead)(backbone.embed_dim)
    network, batch = Network(backbone, {task: head}), batch_of(task, options)

    def forward() -> torch.Tensor:
        outputs = network(batch["image"])[task]
        return torch.stack(list(head.loss(outputs, batch).values())).sum()

    return forward, list(network.parameters())


def theirs(task: str, options: Namespace) -> tuple[Callable, list]:
    """From normalized floats and rendered heatmaps, or class maps, to the loss."""
    from sapiens2_lit.backbones import Sapiens2
    from sapiens2_lit.codecs import UDPHeatmapCodec
    from sapiens2_lit.heads import PoseHead, SegmentationHead
    from sapiens2_lit.models.normalize import normalize
    from suite_parts.networks import theirs_of

    size = tuple(options.image_size)
    backbone = Sapiens2("test", size)
    head_of = PoseHead if task == "pose" else SegmentationHead
    real = Sapiens2(options.size, size)
    model = theirs_of(real, head_of(real.embed_dim), task).train()
    batch = batch_of(task, options)
    images = normalize(batch["image"], backbone.mean, backbone.std)
    if task == "seg":
        labels, given = batch["segmentation"], {}
    else:
        labels, weight = UDPHeatmapCodec(size, (size[0] // 4, size[1] // 4)).encode(batch["keypoints"])
        given = {"label_weights": weight[..., None, None].expand_as(labels)}
    return lambda: model(images, labels=labels, **given).loss, list(model.parameters())


def batch_of(task: str, options: Namespace) -> dict:
    import torch

    generator, (height, width) = torch.Generator().manual_seed(0), options.image_size
    images = torch.randint(0, 256, (BATCH, 3, height, width), dtype=torch.uint8, generator=generator)
    if task == "seg":
        return {
            "image": images,
            "segmentation": torch.randint(0, 29, (BATCH, height, width), generator=generator),
        }
    points = torch.rand(BATCH, 308, 3, generator=generator) * torch.tensor([width - 1.0, height - 1.0, 2.0])
    return {"image": images, "keypoints": points}
