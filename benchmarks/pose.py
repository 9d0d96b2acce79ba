"""Pose against `transformers`' Sapiens2 image processor: decoding, loading, bytes; and one training step.

    python benchmarks/pose.py --data DIR [--labels wholebody.json]

DIR is a COCO dataset (images/ and the labels file, by default COCO-WholeBody's). Everything is measured side by
side in one run and printed as a Markdown table; peak memory in processes of their own.
"""

import argparse
import multiprocessing as mp
import platform
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.data.readers.images import read_image
from sapiens2_lit.datamodules import PoseDataModule

SIZE, MAP, KEYPOINTS = (1024, 768), (256, 192), 308
BORDER = 48  # input pixels within which a blur of the heatmap meets its end


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", default="wholebody.json")
    options = parser.parse_args()
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}\n"
    )
    print("| measure | sapiens2-lit | alternative | ratio |\n|---|---|---|---|")
    decoding()
    data_path(options.data, options.labels)
    training_step()


def row(what: str, ours: float, theirs: float, unit: str) -> None:
    print(f"| {what} | {ours:.4g} {unit} | {theirs:.4g} {unit} | {ours / theirs:.3g} |", flush=True)


def median_seconds(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int = 7
) -> tuple[float, float]:
    """Medians of two functions timed in turn, so that a drift of the machine's speed meets both."""
    times = np.empty((repeats, 2))
    for function in (ours, theirs):
        function()
    for repeat in range(repeats):
        for column, function in enumerate((ours, theirs)):
            start = time.perf_counter()
            function()
            times[repeat, column] = time.perf_counter() - start
    return tuple(np.median(times, axis=0))


def decoding() -> None:
    """308 exact heatmaps of 256 x 192 back to keypoints of a 768 x 1024 crop: time and round-trip error."""
    from transformers import Sapiens2ImageProcessor

    processor = Sapiens2ImageProcessor()
    codec = UDPHeatmapCodec(SIZE, MAP)
    height, width = SIZE
    rows, columns = torch.meshgrid(
        torch.linspace(0, height - 1, 22), torch.linspace(0, width - 1, 14), indexing="ij"
    )
    truth = torch.stack([columns.flatten(), rows.flatten()], dim=1)  # borders and corners included
    heatmaps, _ = codec.encode(torch.cat([truth, torch.full((KEYPOINTS, 1), 2.0)], dim=1)[None])
    # The processor grows a box by 1.25: this one becomes the whole crop.
    box = [width * 0.1, height * 0.1, width * 0.8, height * 0.8]

    def ours() -> torch.Tensor:
        return codec.decode(heatmaps)[0, :, :2]

    def theirs() -> torch.Tensor:
        outputs = SimpleNamespace(heatmaps=heatmaps)
        return processor.post_process_pose_estimation(outputs, boxes=[[box]])[0][0]["keypoints"]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads of many short operations measure the neighbours of a shared machine
    times = median_seconds(ours, theirs)
    torch.set_num_threads(threads)
    row("decode 308 keypoints, 256 x 192, one thread", *(1e3 * time for time in times), "ms")
    errors = [(found - truth).norm(dim=1) for found in (ours(), theirs())]
    inside = ((truth > BORDER) & (truth < torch.tensor([width - 1, height - 1]) - BORDER)).all(dim=1)
    row("round trip, largest error inside", *(float(error[inside].max()) for error in errors), "px")
    row("round trip, largest error near borders", *(float(error[~inside].max()) for error in errors), "px")


class ProcessorPeople(Dataset):
    """The same people through `transformers`' processor: crop, normalised floats, rendered heatmaps."""

    def __init__(self, data: PoseDataModule) -> None:
        from transformers import Sapiens2ImageProcessor

        self.processor = Sapiens2ImageProcessor()
        truth = data.ground_truth("validate")
        names = {image["id"]: image["file_name"] for image in truth["images"]}
        self.people = [
            (
                Path(data.root) / "images" / names[annotation["image_id"]],
                annotation["bbox"],
                annotation["keypoints"],
            )
            for annotation in truth["annotations"]
            if annotation["num_keypoints"] and not annotation["iscrowd"]
        ]

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        path, box, keypoints = self.people[index]
        points = np.reshape(keypoints, (-1, 3)).tolist()
        image = read_image(path)
        batch = self.processor(image, boxes=[[box]], keypoints=[[points]], return_tensors="pt")
        return {key: value[0] for key, value in batch.items() if isinstance(value, torch.Tensor)}


def data_path(root: Path, labels: str) -> None:
    """People through a DataLoader of two workers, without random augmentation on either side."""
    data = PoseDataModule(root, image_size=SIZE, train=labels, val=labels, batch_size=2, num_workers=2)
    data.setup("validate")
    theirs = DataLoader(ProcessorPeople(data), batch_size=2, num_workers=2, persistent_workers=True)
    loaders = (data.val_dataloader(), theirs)
    rates = [images_per_second(loader) for loader in loaders]
    row("images a second, two workers", *rates, "/s")
    sizes = [bytes_per_sample(next(iter(loader))) for loader in loaders]
    row("bytes a sample to the device", *(size / 1e6 for size in sizes), "MB")


def images_per_second(loader: DataLoader, epochs: int = 3) -> float:
    count, start = 0, 0.0
    for epoch in range(epochs + 1):  # the first starts the workers
        if epoch == 1:
            count, start = 0, time.perf_counter()
        for batch in loader:
            count += len(next(value for value in batch.values() if isinstance(value, torch.Tensor)))
    return count / (time.perf_counter() - start)


def bytes_per_sample(batch: dict[str, object]) -> float:
    tensors = [value for value in batch.values() if isinstance(value, torch.Tensor)]
    return sum(tensor.nbytes for tensor in tensors) / len(tensors[0])


def training_step() -> None:
    """Forward, backward and AdamW at 0.1b, 512 x 384, two people, with activation checkpointing and without."""
    context = mp.get_context("spawn")
    results = []
    for checkpointing in (True, False):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=measure_step, args=(checkpointing, sender))
        process.start()
        results.append(receiver.recv())
        process.join()
    (time_with, memory_with), (time_without, memory_without) = results
    print(
        "\n| one step, 0.1b, 512 x 384, 2 people | with checkpointing | without | ratio |\n|---|---|---|---|"
    )
    row("step time", time_with, time_without, "s")
    row("peak memory over weights and AdamW", memory_with, memory_without, "GB")


def measure_step(checkpointing: bool, sender: Connection) -> None:
    from sapiens2_lit.backbones import Sapiens2
    from sapiens2_lit.heads import PoseHead

    backbone = Sapiens2("0.1b", (512, 384), activation_checkpointing=checkpointing)
    head = PoseHead(backbone.embed_dim)
    parameters = [*backbone.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    images = torch.randn(2, 3, 512, 384)
    keypoints = torch.rand(2, KEYPOINTS, 3) * torch.tensor([383.0, 511.0, 2.0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(3):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=False)
        terms = head.loss(head(backbone(images)), {"image": images, "keypoints": keypoints})
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send((min(times), (peak - before) / 1e6))


if __name__ == "__main__":
    main()
