"""Targets, decoding and loading of pose, against `transformers`' image processor."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import torch
from pose import ProcessorPeople

from sapiens2_lit.cli.main import main as sapiens2_lit
from sapiens2_lit.codecs import UDPHeatmapCodec
from sapiens2_lit.datamodules import PoseDataModule
from suite_parts.rows import Row, in_turns, peer

SIZE, MAP, KEYPOINTS = (1024, 768), (256, 192), 308


def people_rows(options: Namespace) -> Iterator[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield from heatmap_rows(options)
    with TemporaryDirectory() as folder:
        yield from loader_rows(options, Path(folder) / "people")
    torch.set_num_threads(threads)


def heatmap_rows(options: Namespace) -> Iterator[Row]:
    from transformers import Sapiens2ImageProcessor

    processor, codec = Sapiens2ImageProcessor(), UDPHeatmapCodec(SIZE, MAP)
    height, width = SIZE
    points = torch.rand(1, KEYPOINTS, 3) * torch.tensor([width - 1.0, height - 1.0, 0.0]) + torch.tensor(
        [0, 0, 2.0]
    )
    heatmaps, _ = codec.encode(points)
    box = [width * 0.1, height * 0.1, width * 0.8, height * 0.8]  # the processor grows it to the whole crop
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    given = {"boxes": [[box]], "return_tensors": "pt"}
    plain, rendered, ours = in_turns(
        options.repeats,
        lambda: processor(image, **given),
        lambda: processor(image, keypoints=[points.tolist()], **given),
        lambda: codec.encode_separable(points),
    )
    yield Row(
        "target of 308 keypoints, 256 x 192, one thread", peer("transformers"), ours, rendered - plain, "CPU s",
        "ours are two factors; theirs what keypoints add to the processor's time",
    )  # fmt: skip
    seconds = in_turns(
        options.repeats,
        lambda: codec.decode(heatmaps),
        lambda: processor.post_process_pose_estimation(SimpleNamespace(heatmaps=heatmaps), boxes=[[box]]),
    )
    yield Row("decode 308 keypoints, 256 x 192, one thread", peer("transformers"), *seconds, "CPU s")


def loader_rows(options: Namespace, root: Path) -> Iterator[Row]:
    sapiens2_lit(
        ["synth", str(root), "--num", "6", "--size", "512", "384", "--tasks", "pose", "--workers", "1"]
    )
    data = PoseDataModule(root, image_size=SIZE, val=1.0 / 3, num_workers=0)
    data.setup("validate")
    dataset, theirs = data.datasets["val"], ProcessorPeople(data)
    count = min(len(dataset), len(theirs))
    seconds = in_turns(
        options.repeats,
        lambda: [dataset[index] for index in range(count)],
        lambda: [theirs[index] for index in range(count)],
    )
    work = "load a person with 308 keypoints, 1024 x 768, one thread"
    yield Row(work, peer("transformers"), *(value / count for value in seconds), "CPU s")
    sizes = [
        sum(v.nbytes for v in sample.values() if hasattr(v, "nbytes")) / 1e6
        for sample in (dataset[0], theirs[0])
    ]
    yield Row("bytes of that sample", peer("transformers"), *sizes, "MB")
