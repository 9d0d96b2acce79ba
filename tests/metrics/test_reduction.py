"""Metrics of the dense tasks reduce exactly: over uneven batches, merged states and two real processes."""

import multiprocessing
import pickle
import sys
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from sapiens2_lit.geometry import intrinsics_from_focal
from sapiens2_lit.metrics.albedo import AlbedoErrors
from sapiens2_lit.metrics.boundary import BoundaryF1
from sapiens2_lit.metrics.class_boundary import ClassBoundaryF1
from sapiens2_lit.metrics.depth import DepthErrors
from sapiens2_lit.metrics.matting import MattingErrors
from sapiens2_lit.metrics.normal import NormalAngles
from sapiens2_lit.metrics.pointmap import CameraErrors, PointErrors, SurfaceAngles
from sapiens2_lit.metrics.segmentation import SegmentationIoU

CLASSES = ("none", "arm", "leg")
METRICS = {
    "segmentation": lambda: SegmentationIoU(3, names=CLASSES),
    "segmentation, outlines": lambda: ClassBoundaryF1(3),
    "normal": NormalAngles,
    "points": PointErrors,
    "points, scaled": lambda: PointErrors("scale"),
    "points, affine": lambda: PointErrors("affine"),
    "surface": SurfaceAngles,
    "camera": CameraErrors,
    "depth": DepthErrors,
    "depth, affine": lambda: DepthErrors("affine"),
    "boundary": BoundaryF1,
    "albedo": AlbedoErrors,
    "matting": MattingErrors,
}
SIZE = (16, 20)


def batch(name: str, seed: int, samples: int) -> tuple:
    """Positive labels and predictions near them, of one to three channels."""
    generator = torch.Generator().manual_seed(seed)

    def noise(channels: int) -> Tensor:
        return torch.rand(samples, channels, *SIZE, generator=generator)

    if name == "camera":
        focal = 20 + 10 * noise(1)[:, 0, 0, :2]
        return (*(intrinsics_from_focal(f, SIZE) for f in focal.unbind(dim=1)), SIZE)
    if name.startswith("segmentation"):  # each batch shows two of three classes
        return (noise(1)[:, 0] > 0.5).long() + seed % 2, (noise(1)[:, 0] > 0.5).long() + seed % 2
    channels = 1 if name.startswith(("depth", "matting", "boundary")) else 3
    target = 0.1 + 0.8 * noise(channels)
    prediction, valid = (target + 0.2 * noise(channels) - 0.1).clamp(0, 1), noise(1) > 0.3
    if name == "matting" and seed == 1:  # some batches have trimaps, others none
        return prediction, target, valid, noise(1) > 0.5
    return prediction, target, valid


def batches(name: str) -> list[tuple]:
    return [batch(name, seed, samples) for seed, samples in enumerate((2, 1, 3))]


def fed(name: str, parts: list[tuple]) -> Metric:
    metric = METRICS[name]()
    for part in parts:
        metric.update(*part)
    return metric


def numbers(metric: Metric) -> dict[str, float]:
    return {key: value.item() for key, value in metric.compute().items()}


@pytest.mark.parametrize("name", METRICS)
def test_uneven_batches_add_up(name: str) -> None:
    parts = batches(name)
    whole, first = numbers(fed(name, parts)), fed(name, parts[:1])
    first.merge_state(fed(name, parts[1:]))
    assert numbers(first) == pytest.approx(whole, rel=1e-12)
    if name not in ("matting", "camera"):
        once = tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))
        assert numbers(fed(name, [once])) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("name", METRICS)
def test_lives_in_a_collection(name: str) -> None:
    collection = MetricCollection({name: METRICS[name]()}, compute_groups=False).clone(prefix="val/")
    for _ in range(2):
        collection.reset()
        collection[name].update(*batch(name, 0, 2))
        again = pickle.loads(pickle.dumps(collection))
        assert again.compute() == collection.compute()
    assert all(key.startswith("val/") and value.ndim == 0 for key, value in collection.compute().items())


@pytest.mark.parametrize("name", METRICS)
def test_half_precision_is_taken(name: str) -> None:
    prediction, *rest = batch(name, 0, 2)
    metric = METRICS[name]()
    metric.update(prediction.bfloat16(), *rest)
    full = numbers(fed(name, [(prediction, *rest)]))
    assert numbers(metric) == pytest.approx(full, rel=0.2, abs=0.1)


def test_a_device_without_float64_gets_float32() -> None:
    def to_device(tensor: Tensor) -> Tensor:
        if tensor.dtype == torch.float64:
            raise TypeError("this device has no float64")
        return tensor.clone()

    metric = AlbedoErrors()
    metric._apply(to_device)
    for _ in range(2):
        metric.reset()
        metric.update(*batch("albedo", 0, 2))
        assert metric.sums.dtype == torch.float32
        expected = numbers(fed("albedo", [batch("albedo", 0, 2)]))
        assert numbers(metric) == pytest.approx(expected, rel=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="forks processes, which only Linux does safely")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_two_processes_measure_as_one(tmp_path: Path) -> None:
    """Forked, for importing torch and torchmetrics anew takes longer than all the rest."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    ranks = [context.Process(target=process, args=(tmp_path / "store", i, results)) for i in (0, 1)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(timeout=60)
        rank.kill()
    assert [rank.exitcode for rank in ranks] == [0, 0]
    whole = {name: numbers(fed(name, batches(name))) for name in METRICS}
    for name, values in (results.get() for _ in range(2 * len(METRICS))):
        assert values == pytest.approx(whole[name], rel=1e-12), name


def process(store: Path, rank: int, results: SimpleQueue) -> None:
    """One of two processes, which has the first batch or the two others."""
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    for name in METRICS:
        parts = batches(name)
        results.put((name, numbers(fed(name, parts[:1] if rank == 0 else parts[1:]))))
    torch.distributed.destroy_process_group()
