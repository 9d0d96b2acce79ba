"""Parts of a probing run: metrics of perfect outputs, intervals, scales, exchanged labels, retrieval and pictures."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sapiens2_lit.data.datasets.synthetic import SyntheticDataset
from sapiens2_lit.probing.bootstrap import draw_weights, interval_of, score_all, separate
from sapiens2_lit.probing.datasets import build_task
from sapiens2_lit.probing.features import Scale, scale_of
from sapiens2_lit.probing.pca import fit, pca_pictures
from sapiens2_lit.probing.pictures import TaskLabels, exchange
from sapiens2_lit.probing.probes import Budget, Job, evaluate, train
from sapiens2_lit.probing.retrieval import effective_rank, retrieve_parts
from sapiens2_lit.probing.run import added
from sapiens2_lit.probing.settings import TASKS, ProbeData
from sapiens2_lit.probing.sums import overlap
from sapiens2_lit.probing.tasks import SegmentationProbe
from sapiens2_lit.vocabularies import load_skeleton

DATA = ProbeData(image_size=(96, 64))
BEST = {"PCK@0.1": 1, "PCK@0.05": 1, "mIoU": 1, "mAcc": 1, "within@22.5deg": 1, "delta1": 1}  # others 0
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def samples() -> list[dict[str, Any]]:
    data = SyntheticDataset(6, DATA.image_size, load_skeleton("coco17"))
    return [data[index] for index in range(6)]


def labels_of(name: str, samples: list[dict[str, Any]]) -> tuple[Any, TaskLabels]:
    task = build_task(name, DATA)
    found = [task.labels(sample, DATA.label_stride) for sample in samples]
    labels = {key: torch.stack([one[key] for one in found]) for key in found[0]}
    return task, TaskLabels(torch.arange(len(samples)), labels, torch.arange(len(samples)))


@pytest.mark.parametrize("name", TASKS)
def test_perfect_outputs_have_perfect_metrics(name: str, samples: list[dict[str, Any]]) -> None:
    task, found = labels_of(name, samples)
    task.setup(found.labels)
    if name == "pose":
        outputs = task.target(found.labels).clamp(min=1e-30).log()
    elif name == "segmentation":
        outputs = torch.nn.functional.one_hot(found.labels["classes"].long(), task.channels).movedim(3, 1)
    else:
        outputs = found.labels["field"] if name == "normal" else task.target(found.labels)
    metrics = task.metrics(added(task.statistics(outputs.float(), found.labels)))
    assert metrics.keys() == task.directions.keys()
    for metric, value in metrics.items():
        assert value.item() == pytest.approx(BEST.get(metric, 0), abs=0.02), metric


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("kind", ["linear", "small"])
def test_probes_learn_what_features_say_and_rates_do_not_disturb_each_other(
    name: str, kind: Any, samples: list[dict[str, Any]]
) -> None:
    task, found = labels_of(name, samples)
    generator = torch.Generator().manual_seed(1)
    maps = torch.randn(len(samples), 16, 6, 4, generator=generator)
    job = Job(task, kind, lambda rows: maps[rows], 16, found, task.setup(found.labels), CPU)
    budget = Budget(12, 4, 1e-3)
    both = train(job, [1e-4, 2e-2], 0, budget)
    alone = train(job, [2e-2], 0, budget)
    slow, fast = loss_of(both, job)
    assert fast < slow
    assert loss_of(alone, job) == pytest.approx([fast], rel=1e-3)
    assert len(evaluate(both, task, job.features, found, CPU)) == 2


def loss_of(probe: torch.nn.Module, job: Job) -> list[float]:
    """The loss of each probe on all training pictures, at the same pixels."""
    generator = torch.Generator().manual_seed(5)
    losses = job.task.loss(probe(job.features(job.labels.rows)), job.labels.labels, generator)
    return losses.tolist()


def test_intervals_are_those_of_a_mean_and_cover_it() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    statistics = {"value": values, "count": torch.ones(400)}
    weights = draw_weights(400, 2000)
    score = score_all([statistics], lambda sums: {"mean": (sums["value"] / sums["count"])[:, 0]}, weights)[
        "mean"
    ]
    half = 1.96 * values.std().item() / 20
    assert score.mean == pytest.approx(values.mean().item())
    assert score.interval == pytest.approx((score.mean - half, score.mean + half), abs=0.015)
    assert torch.equal(weights, draw_weights(400, 2000)), "other rows are resampled in the same way"


def test_a_class_that_a_resampling_lacks_does_not_leave_the_mean() -> None:
    confusion = torch.zeros(10, 2, 2)
    confusion[:, 0, 0] = 10
    confusion[0, 1, 0] = 5  # one picture has the second class, which is never found
    score = score_all(
        [{"confusion": confusion}], lambda sums: overlap(sums["confusion"]), draw_weights(10, 500)
    )
    assert score["mIoU"].interval[1] < 0.55


def test_intervals_that_touch_are_not_apart() -> None:
    found = interval_of(np.linspace(0, 1, 1001))
    assert found == (0.025, 0.975)
    one, other = (type("Score", (), {"interval": ends}) for ends in ((0.0, 0.5), (0.5, 1.0)))
    assert not separate(one, other)  # type: ignore[arg-type]  # all that is read of a score


def test_standardized_features_have_mean_0_and_deviation_1_and_constants_vanish() -> None:
    maps = 5 + 3 * torch.randn(8, 4, 6, 4, generator=torch.Generator().manual_seed(0))
    maps[:, 3] = 7
    scale = scale_of(lambda: maps.split(3))
    found = scale(maps)
    assert found[:, :3].mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert found[:, :3].std(dim=(0, 2, 3), correction=0) == pytest.approx(torch.ones(3), abs=1e-5)
    assert not found[:, 3].any()
    assert torch.allclose(scale_of(lambda: [100 * maps])(100 * maps), found, atol=1e-5)


def test_exchanged_labels_are_all_there_and_none_at_its_place() -> None:
    labels = TaskLabels(torch.arange(7), {"value": torch.arange(7)}, torch.arange(7))
    found = exchange(labels, 3)
    assert sorted(found.labels["value"].tolist()) == list(range(7))
    assert (found.labels["value"] != labels.labels["value"]).all()
    assert torch.equal(found.rows, labels.rows)


class Tokens:
    """Feature maps as a split of stored ones."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps

    def __call__(self, rows: Tensor) -> Tensor:
        return self.maps[rows]


def test_parts_are_retrieved_where_tokens_tell_them() -> None:
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 3, (4, 6, 4), generator=generator)
    directions = torch.eye(3)[classes].movedim(3, 1)
    maps = torch.cat([directions, 0.01 * torch.randn(4, 2, 6, 4, generator=generator)], dim=1)
    labels = {"classes": classes.to(torch.uint8), "valid": torch.ones(4, 6, 4, dtype=torch.bool)}
    found = TaskLabels(torch.arange(4), labels, torch.arange(4))
    tokens: Any = Tokens(maps)
    confusion = retrieve_parts(tokens, found, tokens, found, 3)["confusion"]
    assert overlap(confusion.sum(dim=0, keepdim=True))["mIoU"].item() == 1


def test_effective_rank_counts_directions() -> None:
    noise = torch.randn(20, 8, 10, 10, generator=torch.Generator().manual_seed(0))
    every: Any = Tokens(noise)
    one: Any = Tokens(noise[:, :1].expand(-1, 8, -1, -1))
    assert effective_rank(every, 20) == pytest.approx(8, abs=0.1)
    assert effective_rank(one, 20) == pytest.approx(1, abs=0.01)


def test_pictures_share_one_basis_that_rises_to_the_top() -> None:
    maps = 0.1 * torch.randn(6, 5, 8, 4, generator=torch.Generator().manual_seed(0))
    maps[:, 0] += torch.linspace(-2, 2, 8)[:, None]  # rises to the bottom
    maps[3] = maps[2]
    tokens: Any = Tokens(maps)
    rows, masks = torch.arange(6), torch.ones(6, 16, 8, dtype=torch.bool)
    _, basis, low, high = fit(tokens, rows, masks)
    assert basis[0, 0] < 0, "the first component rises to the top"
    assert (high > low).all()
    pictures = pca_pictures(tokens, rows, masks, tokens, rows, masks, (16, 8))
    assert np.array_equal(pictures[2], pictures[3])
    assert pictures[0].shape == (16, 8, 3)
    assert pictures[0][0, :, 0].mean() > pictures[0][-1, :, 0].mean()


def test_confusion_of_a_picture_counts_its_own_pixels_alone() -> None:
    task = SegmentationProbe(3)
    labels = {
        "classes": torch.tensor([[[0, 1]], [[2, 2]]], dtype=torch.uint8),
        "valid": torch.tensor([[[True, True]], [[True, False]]]),
    }
    outputs = torch.nn.functional.one_hot(torch.tensor([[[0, 2]], [[2, 0]]]), 3).movedim(3, 1).float()
    found = task.statistics(outputs, labels)["confusion"]
    assert found[0].nonzero().tolist() == [[0, 0], [1, 2]]
    assert found[1].nonzero().tolist() == [[2, 2]]


def test_scale_of_no_spread_is_zero() -> None:
    assert not Scale(torch.zeros(2), torch.zeros(2))(torch.ones(1, 2, 1, 1)).any()
